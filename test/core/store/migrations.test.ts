/** Migrations that are merged have run on databases of others: they are frozen. */
import { createHash } from 'node:crypto'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

const folder = 'src/core/store/migrations'
/** As `sha256sum` writes it; `npm run kept` adds new files, and never changes a line. */
const record = 'test/core/store/migrations.sha256'

const sumOf = (file: string) =>
  createHash('sha256')
    .update(readFileSync(path.join(folder, file)))
    .digest('hex')

const recorded = () =>
  new Map(
    readFileSync(record, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('  ').toReversed() as [string, string]),
  )

it('are kept as they were merged', () => {
  const files = readdirSync(folder).sort()
  if (process.env.UPDATE === '1') {
    for (const file of files) if (!recorded().has(file)) appendFileSync(record, `${sumOf(file)}  ${file}\n`)
  }
  for (const [file, sum] of recorded()) {
    expect(
      files.includes(file) && sumOf(file),
      `${file} is frozen: databases have run it. Restore it, and write a new file`,
    ).toBe(sum)
  }
  const added = files.filter((file) => !recorded().has(file))
  expect(added, 'new migrations: `npm run kept` records their checksums').toEqual([])
  expect(files.at(-1), 'a new migration is named by its day and time, and comes after all that have run').toBe(
    [...recorded().keys()].at(-1),
  )
})
