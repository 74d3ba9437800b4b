/** The surface for authors says of every field what it is. */
import { readFileSync } from 'node:fs'
import { type ESTree, parseSync, Visitor } from 'rolldown/utils'
import { expect, it } from 'vitest'

/** Files of the surface, and of which of their types. */
const surface: [string, RegExp][] = [
  ['src/plugins/sdk.ts', /./],
  ['src/plugins/schema.ts', /./],
  ['src/core/evidence.ts', /^(EarlierAttempt|Evidence|Verdict)$/],
  ['src/core/admission.ts', /^(AdmissionRequest|AdmissionVerdict)$/],
]

it.each(surface)('every field of %s is documented', (file, wanted) => {
  const text = readFileSync(file, 'utf8')
  const { program, comments } = parseSync(file, text)
  const docs = comments.filter((one) => one.type === 'Block' && one.value.startsWith('*'))
  const isDocumented = (at: number) => docs.some((doc) => doc.end <= at && text.slice(doc.end, at).trim() === '')
  const bare = (of: string, from: ESTree.Node) => {
    const found: string[] = []
    const look = (member: { start: number; key: { start: number; end: number } }) => {
      // What stands in a line with others is told of with them.
      const first = text.slice(text.lastIndexOf('\n', member.start) + 1, member.start).trim() === ''
      if (first && !isDocumented(member.start)) found.push(`${of}.${text.slice(member.key.start, member.key.end)}`)
    }
    new Visitor({ TSPropertySignature: look, TSMethodSignature: look }).visit({ ...program, body: [from] } as never)
    return found
  }
  const missing = program.body.flatMap((node) => {
    if (node.type !== 'ExportNamedDeclaration' || !node.declaration) return []
    const { declaration } = node
    if (declaration.type !== 'TSInterfaceDeclaration' && declaration.type !== 'TSTypeAliasDeclaration') return []
    const { name } = declaration.id
    if (!wanted.test(name)) return []
    return [...(isDocumented(node.start) ? [] : [name]), ...bare(name, node)]
  })
  expect(missing).toEqual([])
})
