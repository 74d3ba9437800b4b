/** Gitea and Forgejo, whose APIs are one for what is needed here. */
import type { Driver } from '../driver.js'
import { deleteHook, inspect, listHooks, makeHook, setHook } from './connect.js'
import { report } from './statuses.js'

export const gitea: Driver = {
  apiUrl: (baseUrl) => `${baseUrl}/api/v1`,
  headers: (token) => ({ accept: 'application/json', authorization: `token ${token}` }),
  requestRef: (number) => `refs/pull/${number}/head`,
  inspect,
  listHooks,
  makeHook,
  setHook,
  deleteHook,
  report,
}
