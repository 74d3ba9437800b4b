/**
 * XML reports, read as they come. They are written by jobs, which run anything: nothing is held but what a handler keeps,
 * no entity is defined or fetched (what a DOCTYPE says is passed over), and size, depth and attributes have limits.
 */
import sax from 'sax'
import { ReportError } from './report-error.js'

/** What is told of a document while it is read, in its order. */
export interface XmlHandler {
  open(name: string, attributes: Readonly<Record<string, string>>): void
  text(text: string): void
  close(name: string): void
}

const longestToken = 256 * 1024
const deepest = 64
const mostAttributes = 256
const mostDocuments = 10_000

// The library's own limit, for all of its parsers; longer texts come in pieces, longer attributes are errors.
Object.assign(sax, { MAX_BUFFER_LENGTH: longestToken })

/**
 * Hands over the elements of one or more documents that follow one another: several files of a report are sent as one.
 * Throws `ReportError` for what is not well-formed XML or beyond the limits, and what the source or the handler throws.
 */
export async function readXml(source: AsyncIterable<Uint8Array>, handler: XmlHandler): Promise<void> {
  const documents = new Documents(handler)
  let decoder: InstanceType<typeof TextDecoder> | undefined
  for await (const chunk of source) {
    decoder ??= new TextDecoder(encodingOf(chunk))
    documents.write(decoder.decode(chunk, { stream: true }))
  }
  documents.write(decoder?.decode() ?? '')
  documents.end()
}

class Documents {
  #parser: sax.SAXParser | undefined
  #depth = 0
  #attributes = 0
  #ended = false
  #count = 0

  constructor(private readonly handler: XmlHandler) {}

  /** A parser ends with its document; what follows is for the next one. */
  write(text: string): void {
    for (let rest = text; rest !== ''; ) {
      if (this.#parser === undefined) {
        // Blanks and marks between documents belong to none.
        rest = rest.trimStart()
        if (rest === '') return
        this.#parser = this.#begin()
      }
      const { position } = this.#parser
      try {
        this.#parser.write(rest)
        return
      } catch (error) {
        if (!this.#ended) throw error
        rest = rest.slice(this.#parser.position - position)
        this.#parser = undefined
      }
    }
  }

  end(): void {
    if (this.#depth > 0) throw new ReportError('the document ends in the middle')
    if (this.#count === 0) throw new ReportError('there is no document')
  }

  #begin(): sax.SAXParser {
    const parser = sax.parser(true, { position: true })
    this.#ended = false
    parser.onerror = (error) => {
      const [what] = error.message.split('\n')
      throw new ReportError(`${what} (line ${parser.line + 1})`)
    }
    parser.onattribute = () => {
      if (++this.#attributes > mostAttributes) throw new ReportError(`an element has over ${mostAttributes} attributes`)
    }
    parser.onopentag = ({ name, attributes }) => {
      this.#attributes = 0
      if (++this.#depth > deepest) throw new ReportError(`elements are nested more than ${deepest} deep`)
      for (const [key, value] of Object.entries(attributes)) attributes[key] = flat(value as string)
      this.handler.open(name, attributes as Record<string, string>)
    }
    const text = (piece: string) => {
      if (this.#depth > 0) this.handler.text(piece)
    }
    parser.ontext = text
    parser.oncdata = text
    parser.onclosetag = (name) => {
      this.handler.close(name)
      if (--this.#depth > 0) return
      if (++this.#count > mostDocuments) throw new ReportError(`a report may have ${mostDocuments} documents`)
      this.#ended = true
      // The only way to have the parser stop here.
      throw documentEnd
    }
    return parser
  }
}

/** The parser puts values together by the character, and V8 keeps each as a tree of thirty times its size until it is copied. */
function flat(text: string): string {
  return text.length < shortestTree ? text : Buffer.from(text).toString()
}

/** V8 copies shorter texts at once. */
const shortestTree = 13

const documentEnd = new Error('the document has ended')

/** By its mark or its declaration; UTF-8 if it says nothing, or what nobody knows. */
function encodingOf(start: Uint8Array): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le'
  if (start[0] === 0xfe && start[1] === 0xff) return 'utf-16be'
  const head = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, 200)).toString('latin1')
  const [, label = 'utf-8'] = /^\s*<\?xml[^>]*?\sencoding=["']([\w.:-]+)["']/.exec(head) ?? []
  try {
    return new TextDecoder(label).encoding
  } catch {
    return 'utf-8'
  }
}
