/**
 * The web page, as the build left it in `dist/web`: one document for every address that names a page, and the files that it
 * loads, which are named by what they hold. It tells nothing that is not public: what it shows, it asks the APIs for.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { reservedPart } from './core/reserved-paths.js'
import { packageRoot } from './package-root.js'

interface Piece {
  compressed: Buffer
  type: string
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
}

/** https://developer.mozilla.org/docs/Web/HTTP/Headers/Content-Security-Policy; nothing of another host, nothing inline. */
const policy = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"],
].join('; ')

/** The page's own addresses, and those of groups: no project has them. */
const ours = /^\/(?:-\/(?:fleet|queue|system|sign-in|look)(?:\/.*)?|groups\/.+)?$/
/** Of a person (`/NAME`), a project (`/GROUP/NAME`), or what is in one (`/GROUP/NAME/-/jobs/1`), as `web_url`s have them. */
const ofOthers = /^\/(\w[\w.-]*(?:\/\w[\w.-]*)*)(?:\/-\/[a-z_]+(?:\/.*)?)?\/?$/
/** What other doors answer: logs as they are, and repositories. */
const elsewhere = /\/raw$|\.git(?:\/|$)/

/** Whether the path, decoded, is one of the page's. */
export function isPagePath(pathname: string): boolean {
  if (ours.test(pathname)) return true
  const of = ofOthers.exec(pathname)?.[1]
  return of !== undefined && !elsewhere.test(pathname) && reservedPart(of) === undefined
}

/** The page's files; `secure`: people reach it by TLS. */
export class Page {
  readonly #pieces: ReadonlyMap<string, Piece>
  readonly #headers: Readonly<Record<string, string>>

  constructor({ secure, folder = path.join(packageRoot(), 'dist/web') }: { secure: boolean; folder?: string }) {
    this.#pieces = read(folder)
    this.#headers = {
      'Content-Security-Policy': policy,
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
      ...(secure ? { 'Strict-Transport-Security': 'max-age=31536000' } : {}),
    }
  }

  /** Answers a request for the page or one of its files. Returns whether it has. */
  handle(req: IncomingMessage, res: ServerResponse, pathname: string): boolean {
    if (req.method !== 'GET' && req.method !== 'HEAD') return false
    const asset = /^\/assets\/([\w.-]+)$/.exec(pathname)?.[1]
    const piece = this.#pieces.get(asset === undefined ? 'page.html' : `assets/${asset}`)
    if (!piece || (asset === undefined && !isPagePath(decoded(pathname)))) return false
    const plain = !/\bgzip\b/.test(String(req.headers['accept-encoding'] ?? ''))
    const body = plain ? gunzipSync(piece.compressed) : piece.compressed
    res.writeHead(200, {
      ...this.#headers,
      // A file that is named by what it holds never changes; the document names the files of this version.
      'Cache-Control': asset === undefined ? 'no-cache' : 'public, max-age=31536000, immutable',
      'Content-Length': body.length,
      'Content-Type': piece.type,
      Vary: 'Accept-Encoding',
      ...(plain ? {} : { 'Content-Encoding': 'gzip' }),
    })
    res.end(req.method === 'HEAD' ? undefined : body)
    return true
  }
}

/** By its path without `.gz`. Nothing where it was not built. */
function read(folder: string): Map<string, Piece> {
  if (!existsSync(folder)) return new Map()
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.gz'))
  return new Map(
    names.map((file) => {
      const name = file.slice(0, -'.gz'.length)
      const type = types[path.extname(name)] ?? 'application/octet-stream'
      return [name.replaceAll(path.sep, '/'), { compressed: readFileSync(path.join(folder, file)), type }]
    }),
  )
}

function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return pathname
  }
}
