/** Server-sent events out of a byte stream: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export interface ServerSentEvent {
  event: string
  data: string
}

export async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of bytes) {
    pending += decoder.decode(chunk, { stream: true })
    for (let end = pending.indexOf('\n\n'); end !== -1; end = pending.indexOf('\n\n')) {
      const block = pending.slice(0, end)
      pending = pending.slice(end + 2)
      const fields = new Map(block.split('\n').map((line) => splitField(line)))
      if (fields.has('data')) yield { event: fields.get('event') ?? 'message', data: fields.get('data')! }
    }
  }
}

function splitField(line: string): [string, string] {
  const colon = line.indexOf(':')
  return colon === -1 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
}
