/** Options of git that jobs may name, and which of them are harmless on a host that is not the job's. */
import type { JobSettings } from './settings.js'

/** Settings without options by which git would run a program or read another repository: on this host nobody asked for that. */
export function harmless(settings: JobSettings): JobSettings {
  const only = (flags: string[], allowed: RegExp) => flags.filter((flag) => allowed.test(flag))
  return {
    ...settings,
    fetchFlags: only(settings.fetchFlags, safeFetchFlag),
    submoduleFlags: only(settings.submoduleFlags, safeSubmoduleFlag),
  }
}

/** What of `GIT_FETCH_EXTRA_FLAGS` and `GIT_SUBMODULE_UPDATE_FLAGS` is left out for a job that sees another file system. */
export function leftOutFlags({ fetchFlags, submoduleFlags }: JobSettings): string[] {
  return [
    ...fetchFlags.filter((flag) => !safeFetchFlag.test(flag)),
    ...submoduleFlags.filter((flag) => !safeSubmoduleFlag.test(flag)),
  ]
}

const safeFetchFlag =
  /^(-[pqvtnfP46k]|--(prune|prune-tags|quiet|verbose|progress|no-progress|tags|no-tags|force|keep|atomic|unshallow|update-shallow|ipv4|ipv6|no-auto-maintenance|no-auto-gc|(no-)?show-forced-updates|(no-)?write-commit-graph)|--(jobs|depth|deepen|shallow-since|shallow-exclude|filter|refmap)=\S+)$/
const safeSubmoduleFlag =
  /^(-[qfN]|--(quiet|force|remote|checkout|merge|rebase|no-fetch|progress|(no-)?recommend-shallow|(no-)?single-branch)|--(jobs|depth|filter)=\d*\S*)$/
