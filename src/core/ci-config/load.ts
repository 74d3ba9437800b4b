/** Reads the text of one file into its header and its content. */
import { ConfigFault } from './fault.js'
import { limits } from './limits.js'
import { isBlank, isNull, type MapNode, type Node } from './node.js'
import type { Sources } from './sources.js'
import { readYaml } from './yaml/read.js'

export interface LoadedFile {
  /** The document before `---` that holds `spec`, if there is one. */
  header?: MapNode
  content: MapNode
  /** Place of the first character, for errors about the file as a whole. */
  at: number
}

/**
 * Text of one file to header and content. Documents that are blank once they are read, such as one of comments only, do
 * not count; all others must be maps, also one that is not used. Rules: lib/gitlab/config/loader/yaml.rb and
 * multi_doc_yaml.rb (with `reject_empty`), lib/gitlab/ci/config/yaml/loader.rb.
 *
 * @throws ConfigFault when the text is too large, blank, not YAML or not a map
 */
export function loadFile(sources: Sources, name: string, raw: string, onDuplicateKey: DuplicateKey): LoadedFile {
  const text = normalise(raw)
  const at = sources.add(name, text)
  checkText(text, name, at)
  const read = split(text).flatMap(({ start, end }) => {
    const document = readYaml(text.slice(start, end), at + start, onDuplicateKey)
    return document === undefined || isNull(document) ? [] : [asMap(document, name)]
  })
  const documents = read.some(isFilled) ? read.filter(isFilled) : read
  const [first] = documents
  if (first === undefined) throw new ConfigFault(`${name} is empty: it has no configuration content`, at)
  if (!first.entries.has('spec')) return { content: first, at }
  const content = documents.length > 1 ? documents.at(-1) : undefined
  if (content !== undefined) return { header: first, content, at }
  if (first.entries.size > 1) return { content: first, at }
  throw new ConfigFault(`${name} has no configuration content after its header`, at)
}

function isFilled(document: MapNode): boolean {
  return !isBlank(document)
}

export type DuplicateKey = (key: string, at: number) => void

/** Byte order mark away, line ends to `\n`; lines and columns stay what an editor shows. */
function normalise(raw: string): string {
  const text = raw.charCodeAt(0) === 0xfeff ? raw.slice(1) : raw
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
}

function checkText(text: string, name: string, at: number): void {
  if (text.length > limits.fileBytes || Buffer.byteLength(text) > limits.fileBytes) {
    throw new ConfigFault(`${name} is larger than ${limits.fileBytes} bytes`, at)
  }
  const odd = text.search(/[^\P{Cc}\t\n\u0085]|[\ufffe\uffff]/u)
  if (odd !== -1) {
    const code = text.charCodeAt(odd).toString(16).padStart(4, '0')
    const hint = text.charCodeAt(odd) === 0 ? '; is the file UTF-16? Save it as UTF-8' : ''
    throw new ConfigFault(`${name} holds the control character U+${code}, which YAML does not permit${hint}`, at + odd)
  }
  const lone = text.search(/[\ud800-\udfff]/u)
  if (lone !== -1) throw new ConfigFault(`${name} is not valid Unicode here`, at + lone)
}

interface Piece {
  start: number
  end: number
}

/**
 * Documents are told apart before YAML is read: a line `---` followed by a blank or line end starts a piece, three at
 * most. Text in a block scalar splits too; that is how the original reads it.
 */
function split(text: string): Piece[] {
  const pieces: Piece[] = []
  const separator = /^---\s+/gm
  let start = 0
  for (let parts = 1; parts < 3; parts++) {
    const match = separator.exec(text)
    if (match === null) break
    pieces.push({ start, end: match.index })
    // The indentation of the next line belongs to it.
    const lineStart = match[0].lastIndexOf('\n')
    start = match.index + (lineStart === -1 ? match[0].length : lineStart + 1)
  }
  pieces.push({ start, end: text.length })
  return pieces
}

function asMap(node: Node, name: string): MapNode {
  if (node.kind === 'map') return node
  throw new ConfigFault(`Invalid configuration format: ${name} must be valid YAML that holds a map`, node.at)
}
