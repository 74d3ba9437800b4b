/** GitLab, gitlab.com or an installation of one's own. */
import type { Driver } from '../driver.js'
import { deleteHook, inspect, listHooks, makeHook, setHook } from './connect.js'
import { report } from './statuses.js'

export const gitlab: Driver = {
  apiUrl: (baseUrl) => `${baseUrl}/api/v4`,
  headers: (token) => ({ accept: 'application/json', 'private-token': token }),
  requestRef: (number) => `refs/merge-requests/${number}/head`,
  inspect,
  listHooks,
  makeHook,
  setHook,
  deleteHook,
  report,
}
