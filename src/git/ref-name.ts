/** Names of refs and objects, checked before git or the file system sees them. */

/** SHA-1: the repositories are made with it. */
const objectId = /^[0-9a-f]{40}$/

/** Whether a text is a full object id in lower case. */
export function isObjectId(text: string): boolean {
  return objectId.test(text)
}

/** Whether an id is all zeros: "no object" in a push. */
export function isZero(id: string): boolean {
  return /^0+$/.test(id)
}

const longestRefBytes = 1024
/** A file name of 255 bytes, less `.lock`. */
const longestPartBytes = 250

/** What no name may hold: control characters, space, `~^:?*[\`, `..`, `@{`, and the slashes and dots of a broken path. */
const forbidden = /[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$|(?:^|\/)\.|\.lock(?:\/|$)/u

/**
 * Whether a text is the full name of a ref (`refs/heads/main`) that git accepts
 * (https://git-scm.com/docs/git-check-ref-format), at most 1,024 bytes long, whose short name is not like an option.
 */
export function isRefName(name: string): boolean {
  if (Buffer.byteLength(name) > longestRefBytes || forbidden.test(name)) return false
  const parts = name.split('/')
  const [root, second, short] = parts
  if (root !== 'refs' || second === undefined || short?.startsWith('-')) return false
  return parts.every((part) => Buffer.byteLength(part) <= longestPartBytes)
}

/** The type and short name of a full ref; undefined if it is neither a branch nor a tag. */
export function branchOrTag(ref: string): { tag: boolean; name: string } | undefined {
  if (ref.startsWith('refs/heads/')) return { tag: false, name: ref.slice('refs/heads/'.length) }
  if (ref.startsWith('refs/tags/')) return { tag: true, name: ref.slice('refs/tags/'.length) }
  return undefined
}
