/** GitHub, and GitHub Enterprise under an address of its own. */
import type { Driver } from '../driver.js'
import { deleteHook, inspect, listHooks, makeHook, setHook } from './connect.js'
import { report } from './statuses.js'

export const github: Driver = {
  apiUrl: (baseUrl) => (baseUrl === 'https://github.com' ? 'https://api.github.com' : `${baseUrl}/api/v3`),
  headers: (token) => ({
    accept: 'application/vnd.github+json',
    authorization: `Bearer ${token}`,
    'x-github-api-version': '2022-11-28',
  }),
  requestRef: (number) => `refs/pull/${number}/head`,
  inspect,
  listHooks,
  makeHook,
  setHook,
  deleteHook,
  report,
}
