/** Server-sent events out of a byte stream: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** Returns the events one by one as they are complete; what the stream ends in the middle of is dropped. */
export async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const complete: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => complete.push(event) })
  const decoder = new TextDecoder()
  for await (const chunk of bytes) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    yield* complete.splice(0)
  }
}
