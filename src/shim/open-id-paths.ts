/** Where GitLab publishes what others check its ID tokens with. */
export const openIdPaths = {
  configuration: '/.well-known/openid-configuration',
  keys: '/oauth/discovery/keys',
} as const

export function isOpenIdPath(url: string): boolean {
  const path = url.split('?', 1)[0]
  return path === openIdPaths.configuration || path === openIdPaths.keys
}
