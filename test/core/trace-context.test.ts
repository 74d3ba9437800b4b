/** Ids of traces and spans: the same each time, and never the same for two. */
import { expect, it } from 'vitest'
import { keysFrom } from '../../src/core/tokens/keys.js'
import { jobSpan, pipelineSpan, traceparentOf } from '../../src/core/trace-context.js'

const keys = keysFrom(Buffer.alloc(32, 7))
const root = { id: 12, rootId: null, sourceJobId: null }

it('gives each pipeline and job an id of its own, and a chain of trigger jobs one trace', () => {
  const spans = new Set<string>()
  for (let id = 1; id <= 5000; id++) {
    spans.add(pipelineSpan(keys, { ...root, id }).span)
    spans.add(jobSpan(keys, root, id).span)
  }
  // Ids beyond 32 bits do not repeat those below.
  spans.add(jobSpan(keys, root, 2 ** 32 + 1).span).add(jobSpan(keys, root, 2 ** 52 + 1).span)
  expect(spans.size).toBe(10_002)
  expect(new Set(Array.from({ length: 5000 }, (_, id) => pipelineSpan(keys, { ...root, id }).trace)).size).toBe(5000)
  const child = { id: 13, rootId: 12, sourceJobId: 44 }
  expect(pipelineSpan(keys, child)).toEqual({
    trace: pipelineSpan(keys, root).trace,
    span: pipelineSpan(keys, { ...root, id: 13 }).span,
    parent: jobSpan(keys, root, 44).span,
  })
})

it('gives the same ids with the same key file, others with another, in the form of W3C', () => {
  const ids = jobSpan(keys, root, 44)
  expect(jobSpan(keysFrom(Buffer.alloc(32, 7)), root, 44)).toEqual(ids)
  const others = jobSpan(keysFrom(Buffer.alloc(32, 8)), root, 44)
  expect(others.trace).not.toBe(ids.trace)
  expect(others.span).not.toBe(ids.span)
  expect(traceparentOf(ids)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
})
