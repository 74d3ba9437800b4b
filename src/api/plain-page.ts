/** A page without script, for what must work in every browser: setting a password, and signing in that went wrong. */
import type { ServerResponse } from 'node:http'

/** Sends it, unless it is too late. `body` is HTML. */
export function sendPlainPage(
  res: ServerResponse,
  page: { status: number; title: string; body: string; cookies?: string[] },
): void {
  if (res.headersSent || res.destroyed) return
  const { status, title, body, cookies = [] } = page
  const text = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>\n`
  res.writeHead(status, {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    ...(cookies.length === 0 ? {} : { 'Set-Cookie': cookies }),
  })
  res.end(text)
}

/** The text as HTML shows it. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`)
}
