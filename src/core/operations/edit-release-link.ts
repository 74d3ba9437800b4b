/** People and jobs give a release links, change and delete them. Rules: gitlab app/models/releases/link.rb. */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { NewReleaseLink, ReleaseLink } from '../release.js'
import {
  deleteReleaseLink as deleteRow,
  findRelease,
  insertReleaseLink,
  listReleaseLinks,
  saveReleaseLink,
} from '../store/releases.js'
import type { Tx } from '../store/write.js'

/** A release, as addresses name it. */
export interface OfRelease {
  projectId: number
  tag: string
}

const filepathPattern = /^\/(?:[-.\w]+\/?)*[\da-zA-Z]+$/
const mostLinks = 1000

/** Throws `invalid` with the field that is wrong, or that another link of the release has already. */
export function checkReleaseLink(link: NewReleaseLink, others: readonly NewReleaseLink[]): void {
  if (link.name.trim() === '') throw wrongField('name', "can't be blank")
  if (!isAddress(link.url)) throw wrongField('url', 'is blocked: Only allowed schemes are http, https, ftp')
  if (link.filepath !== null && !(link.filepath.length <= 128 && filepathPattern.test(link.filepath))) {
    throw wrongField('filepath', 'is in an invalid format')
  }
  if (others.length >= mostLinks) throw wrongField('links', `are more than ${mostLinks}`)
  for (const field of ['name', 'url', 'filepath'] as const) {
    if (link[field] !== null && others.some((other) => other[field] === link[field])) {
      throw wrongField(field, 'has already been taken')
    }
  }
}

function isAddress(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:', 'ftp:'].includes(new URL(text).protocol) && !/[\s\p{Cc}]/u.test(text)
}

/** Throws `not_found` for the release; `invalid`. */
export function createReleaseLink(core: Core, of: OfRelease, link: NewReleaseLink): Promise<ReleaseLink> {
  return core.store.write(async (tx) => {
    const { release, links } = await releaseOf(tx, of)
    checkReleaseLink(link, links)
    return insertReleaseLink(tx, release, link)
  })
}

/** Returns the link as it is then. Throws `not_found`; `invalid`. */
export function updateReleaseLink(
  core: Core,
  of: OfRelease & { linkId: number },
  changes: Partial<NewReleaseLink>,
): Promise<ReleaseLink> {
  return core.store.write(async (tx) => {
    const { links, link } = await linkOf(tx, of)
    const changed = { name: link.name, url: link.url, filepath: link.filepath, type: link.type, ...changes }
    checkReleaseLink(
      changed,
      links.filter((one) => one.id !== link.id),
    )
    await saveReleaseLink(tx, link.id, changed)
    return { ...link, ...changed }
  })
}

/** Returns the link that is gone. Throws `not_found`. */
export function deleteReleaseLink(core: Core, of: OfRelease & { linkId: number }): Promise<ReleaseLink> {
  return core.store.write(async (tx) => {
    const { link } = await linkOf(tx, of)
    await deleteRow(tx, link.id)
    return link
  })
}

async function releaseOf(tx: Tx, { projectId, tag }: OfRelease) {
  const release = await findRelease(tx, projectId, tag)
  if (!release) throw new SignalboxError('not_found', 'there is no such release')
  return { release, links: await listReleaseLinks(tx, [release.id]) }
}

async function linkOf(tx: Tx, of: OfRelease & { linkId: number }) {
  const { links } = await releaseOf(tx, of)
  const link = links.find((one) => one.id === of.linkId)
  if (!link) throw new SignalboxError('not_found', 'the release has no such link')
  return { links, link }
}
