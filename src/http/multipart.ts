/** Multipart forms (RFC 7578): texts only, or exactly one file that is streamed on and never held in memory. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough, type Readable } from 'node:stream'
import busboy from 'busboy'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import { checkFraming, letBodyCome, watchBody } from './body.js'
import type { Pair } from './form.js'

const longestBoundary = 70
const mostFields = 1000
const headerPairs = 20

/** Refuses a content type whose boundary is missing or longer than RFC 2046 §5.1.1 allows. */
function checkBoundary(req: IncomingMessage): void {
  const found = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(req.headers['content-type'] ?? '')
  const boundary = found?.[1] ?? found?.[2] ?? ''
  if (boundary === '' || boundary.length > longestBoundary) {
    throw new SignalboxError('invalid', 'the boundary of the multipart body is missing or not valid')
  }
}

function parserFor(req: IncomingMessage, limits: busboy.Limits): busboy.Busboy {
  checkBoundary(req)
  try {
    return busboy({
      headers: req.headers,
      defParamCharset: 'utf8',
      limits: { headerPairs, fieldNameSize: 1024, ...limits },
    })
  } catch (error) {
    throw new SignalboxError('invalid', 'the multipart body is not valid', { cause: error })
  }
}

/** The text fields of a form. Throws `invalid` for a file among them, `too_large` past `limitBytes` in all. */
export function readFields(
  req: IncomingMessage,
  res: ServerResponse,
  clock: Clock,
  limitBytes: number,
): Promise<Pair[]> {
  return new Promise((resolve, reject) => {
    let parser: busboy.Busboy
    try {
      checkFraming(req, limitBytes)
      parser = parserFor(req, { fieldSize: limitBytes, fields: mostFields, files: 0 })
    } catch (error) {
      reject(error)
      return
    }
    const pairs: Pair[] = []
    let size = 0
    const settle = (error?: SignalboxError) => {
      stopWatch()
      req.off('data', onData).unpipe(parser)
      parser.removeAllListeners().on('error', () => undefined)
      if (error) reject(error)
      else resolve(pairs)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) settle(new SignalboxError('too_large', `the body may have ${limitBytes} bytes`))
    }
    const stopWatch = watchBody(req, clock, settle)
    parser
      .on('field', (name, value) => pairs.push([name, value]))
      .on('filesLimit', () => settle(new SignalboxError('invalid', 'no file is expected here')))
      .on('fieldsLimit', () => settle(new SignalboxError('invalid', 'there are too many parameters')))
      .on('error', (error) =>
        settle(new SignalboxError('invalid', 'the multipart body is not valid', { cause: error })),
      )
      .on('close', () => settle())
    req.on('data', onData)
    letBodyCome(res)
    req.pipe(parser)
  })
}

export interface UploadedFile {
  filename: string
  /** The text fields around it, in order: until the body has ended only those that came before. */
  fields: readonly Pair[]
  /** Ends only when the whole form has ended and nothing else was in it; fails otherwise. */
  body: Readable
}

const mostFieldsByFile = 20
const longestField = 1024

/**
 * The one file of a form, in a field called `field`, with what text stands around it. Resolves when it begins; what is wrong later fails its stream, so
 * whoever reads it to the end has seen a whole, well-formed request. Throws `invalid` for anything else.
 */
export function readOneFile(
  req: IncomingMessage,
  res: ServerResponse,
  clock: Clock,
  options: { field: string; limitBytes: number },
): Promise<UploadedFile> {
  return new Promise((resolve, reject) => {
    let parser: busboy.Busboy
    try {
      checkFraming(req, options.limitBytes + formOverhead)
      parser = parserFor(req, { fields: mostFieldsByFile, fieldSize: longestField, files: 2 })
    } catch (error) {
      reject(error)
      return
    }
    const body = new PassThrough()
    const fields: Pair[] = []
    // A failure may come before anybody reads, and whoever reads may give up.
    body.on('error', () => undefined)
    body.once('close', () => {
      stopWatch()
      // Unpiping pauses: what is still coming must flow past.
      req.unpipe(parser)
      req.resume()
    })
    let begun = false
    const fail = (error: SignalboxError) => {
      stopWatch()
      req.unpipe(parser)
      parser.removeAllListeners().on('error', () => undefined)
      if (begun) body.destroy(error)
      else reject(error)
    }
    const wrong = (what: string, cause?: unknown) => fail(new SignalboxError('invalid', what, { cause }))
    const stopWatch = watchBody(req, clock, fail)
    parser
      .on('file', (name, file, info) => {
        file.on('error', () => undefined)
        if (begun || name !== options.field) {
          file.resume()
          wrong(`exactly one file is expected, in the field ${options.field}`)
          return
        }
        begun = true
        file.pipe(body, { end: false })
        resolve({ filename: info.filename ?? '', fields, body })
      })
      .on('field', (name, value, info) => {
        if (info.valueTruncated || info.nameTruncated) wrong(`a field may have ${longestField} bytes`)
        else fields.push([name, value])
      })
      .on('fieldsLimit', () => wrong('there are too many parameters'))
      .on('filesLimit', () => wrong('exactly one file is expected'))
      .on('error', (error) => wrong('the multipart body is not valid', error))
      .on('close', () => {
        stopWatch()
        if (begun) body.end()
        else wrong(`${options.field} is missing`)
      })
    letBodyCome(res)
    req.pipe(parser)
  })
}

/** What boundaries and headers of a form may add to its file. */
const formOverhead = 64 * 1024
