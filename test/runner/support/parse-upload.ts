/** The one part of a multipart body; throws for anything that is not exactly that. */
export function parseUpload(contentType: string, body: Buffer): { filename: string; body: Buffer } {
  const boundary = /boundary=([^;]+)/.exec(contentType)?.[1]
  if (boundary === undefined) throw new Error(`no boundary in ${contentType}`)
  const start = `--${boundary}\r\n`
  const end = `\r\n--${boundary}--\r\n`
  const headersEnd = body.indexOf('\r\n\r\n')
  const headers = body.subarray(0, headersEnd).toString()
  if (!headers.startsWith(start) || !body.subarray(-end.length).equals(Buffer.from(end))) throw new Error('bad body')
  const filename = /name="file"; filename="([^"]*)"/.exec(headers)?.[1]
  if (filename === undefined) throw new Error(`bad part: ${headers}`)
  return { filename, body: body.subarray(headersEnd + 4, body.length - end.length) }
}
