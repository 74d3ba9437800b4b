/** Routes that nobody serves, for what the reader must find in any. */
import { SignalboxError } from '../../src/core/errors.js'
import type { Call, Reply, Route } from '../../src/http/call.js'
import { type Params, wrongParameter } from '../../src/http/params.js'
import { tokenRoute } from '../../src/shim/call.js'
import { pageReply, requestedPage } from '../../src/shim/pages.js'

const sorts = ['asc', 'desc'] as const

export const plantedRoutes: readonly Route[] = (['get', 'post'] as const).map((method) =>
  tokenRoute(method, `/planted/${method}/:id`, method === 'get' ? list : make),
)

/** Lists what is planted. */
async function list(call: Call): Promise<Reply> {
  const page = requestedPage(call)
  const sort = call.params.choice('sort', [...sorts, 'none'])
  const rows = sort === 'asc' ? [since(call.params, 'since')] : [since(call.params, 'until')]
  return pageReply(
    call,
    page,
    rows.map((at) => ({ at, kind: 'row' })),
    undefined,
  )
}

function since(params: Params, name: string): number {
  return params.integer(name, { min: 0 }) ?? 0
}

async function make({ params, access, req }: Call): Promise<Reply> {
  await access.runner(req, undefined)
  const size = params.integer('size', { max: 2 ** 10 })
  if (size === undefined) throw wrongParameter('size', 'is missing')
  const items = params.maps('items')?.map((one) => one.requiredText('name'))
  if (items?.length === size) throw new SignalboxError('conflict', 'as many')
  if (params.boolean('quiet')) return { status: 202 }
  return { status: 201, body: { size: items } }
}

export const hiddenRoutes: readonly Route[] = [
  tokenRoute('get', '/hidden', async ({ params, req }) => ({ status: 200, body: params.text(String(req.url)) })),
]
