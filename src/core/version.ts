/** The version of this program, and the version of GitLab whose interfaces it offers. */
export const version = '0.1.0'
export const gitlabVersion = '18.9.0'

/** Whether nodes of these two versions may share a store: of the same major version, and at most one minor version apart. */
export function worksBeside(one: string, other: string): boolean {
  const [a, b] = [releaseOf(one), releaseOf(other)]
  return a !== undefined && b !== undefined && a.major === b.major && Math.abs(a.minor - b.minor) <= 1
}

function releaseOf(text: string): { major: number; minor: number } | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(text) ?? []
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor) }
}
