/** Lists a page at a time, and the headers that tell of the others: gitlab lib/gitlab/pagination/offset_header_builder.rb. */
import type { Page } from '../core/store/page.js'
import type { Call, Reply } from '../http/call.js'
import { queryOf } from '../http/read-params.js'

const secretParameters = /^(private_token|access_token|job_token|token)(=|$)/

const mostPerPage = 100

export interface RequestedPage extends Page {
  page: number
  perPage: number
}

/** The page that the request asks for: `page` (1), `per_page` (20, at most 100). */
export function requestedPage({ params }: Call): RequestedPage {
  const page = params.integer('page', { min: 1, max: 1_000_000_000 }) ?? 1
  const perPage = Math.min(mostPerPage, params.integer('per_page', { min: 1 }) ?? 20)
  return { page, perPage, limit: perPage, offset: (page - 1) * perPage }
}

/** The page and one row more: whether another follows is known so where there are too many to be counted. */
export function withNext(page: RequestedPage): Page {
  return { limit: page.perPage + 1, offset: page.offset }
}

/**
 * The reply with one page of a list. `total` undefined: the list was not counted, or has too many rows for that, and was
 * asked for `withNext`.
 */
export function pageReply<Row>(
  call: Call,
  page: RequestedPage,
  rows: readonly Row[],
  total: number | undefined,
): Reply {
  const pages = total === undefined ? undefined : Math.max(1, Math.ceil(total / page.perPage))
  const more = pages === undefined ? rows.length > page.perPage : page.page < pages
  const next = more ? page.page + 1 : undefined
  const previous = page.page > 1 ? page.page - 1 : undefined
  const links: [string, number | undefined][] = [
    ['prev', previous],
    ['next', next],
    ['first', 1],
    ['last', pages],
  ]
  return {
    status: 200,
    body: rows.slice(0, page.perPage),
    headers: {
      'X-Page': page.page,
      'X-Per-Page': page.perPage,
      'X-Next-Page': next ?? '',
      'X-Prev-Page': previous ?? '',
      ...(total === undefined ? {} : { 'X-Total': total, 'X-Total-Pages': pages ?? 1 }),
      Link: links
        .flatMap(([rel, number]) =>
          number === undefined ? [] : [link(call, { page: number, per_page: page.perPage }, rel)],
        )
        .join(', '),
    },
  }
}

/** A list that goes on after a cursor instead of by pages. `cursor` undefined: this was the end. */
export function keysetReply<Row>(
  call: Call,
  rows: readonly Row[],
  perPage: number,
  cursor: string | undefined,
  parameter = 'cursor',
): Reply {
  return {
    status: 200,
    body: rows,
    headers: cursor === undefined ? {} : { Link: link(call, { [parameter]: cursor, per_page: perPage }, 'next') },
  }
}

/** The request's own address with other parameters, without any token. */
function link(call: Call, changes: Record<string, string | number>, rel: string): string {
  const target = call.req.url ?? ''
  const kept = queryOf(target)
    .split('&')
    .filter((pair) => pair !== '' && !secretParameters.test(pair) && !Object.hasOwn(changes, pair.split('=', 1)[0]!))
  const query = [...kept, ...Object.entries(changes).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)]
  const path = target.split('?', 1)[0]!.replace(/[^\x21-\x7e]|[<>"]/g, (c) => encodeURIComponent(c))
  return `<${call.core.externalUrl()}${path}?${query.join('&').replace(/[<>"\s]/g, encodeURIComponent)}>; rel="${rel}"`
}
