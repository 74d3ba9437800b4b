import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { expectKept } from '../support/kept-file.js'
import { program } from '../support/processes.js'
import { runnerFileSchema, settingsSchema } from './document.js'
import { runnerSettingsHead, type SettingSchema, settingsHead, settingsPage } from './page.js'

const schema = settingsSchema() as SettingSchema
const runnerSchema = runnerFileSchema() as SettingSchema

function settingsIn(one: SettingSchema): SettingSchema[] {
  const below = [...Object.values(one.properties ?? {}), ...(one.items ? [one.items] : []), ...(one.anyOf ?? [])]
  return [...Object.values(one.properties ?? {}), ...below.flatMap(settingsIn)]
}

it('is kept as schemas for editors and as pages for people', () => {
  expectKept('docs/signalbox.schema.json', `${JSON.stringify(schema, null, 2)}\n`)
  expectKept('docs/settings.md', settingsPage(settingsHead, schema))
  expectKept('docs/signalbox-runner.schema.json', `${JSON.stringify(runnerSchema, null, 2)}\n`)
  expectKept('docs/runner-settings.md', settingsPage(runnerSettingsHead, runnerSchema))
})

it('describes every setting', () => {
  const settings = [schema, runnerSchema].flatMap(settingsIn)
  expect(settings.length).toBeGreaterThan(80)
  expect(settings.filter(({ description }) => description === undefined)).toEqual([])
})

it('names the flags that `serve` has, and is printed by it', () => {
  const help = execFileSync(process.execPath, [program, 'serve', '--help'], { encoding: 'utf8' })
  const flags = settingsIn(schema).flatMap(({ 'x-flag': flag }) => flag ?? [])
  expect(flags.length).toBeGreaterThan(5)
  expect(flags.filter((flag) => !help.includes(` ${flag} `))).toEqual([])
  const printed = execFileSync(process.execPath, [program, 'serve', '--schema'], { encoding: 'utf8' })
  expect(JSON.parse(printed)).toEqual(schema)
})
