/** What the variables of a job ask of the runner. */
import { parseDuration } from './duration.js'
import type { JobPayload } from './payload.js'
import type { Variables } from './variables.js'

/** How a job wants to be run: what its variables ask of the runner itself. */
export interface JobSettings {
  strategy: 'fetch' | 'clone' | 'none' | 'empty'
  checkout: boolean
  clonePath: string
  cleanFlags: string[]
  fetchFlags: string[]
  submodules: 'none' | 'normal' | 'recursive'
  submoduleDepth: number
  submodulePaths: string[]
  submoduleFlags: string[]
  skipLfs: boolean
  sourcesAttempts: number
  downloadAttempts: number
  ignoreAfterScriptErrors: boolean
  /** 0: only the job's own timeout counts. */
  scriptTimeoutMs: number
  afterScriptTimeoutMs: number
  trace: boolean
  /** What was asked for and cannot be had, for the log. */
  warnings: string[]
}

/** Source of names, defaults and limits: GitLab Runner, `common/build_settings.go` and `common/build.go`. */
export function readSettings(payload: JobPayload, variables: Variables): JobSettings {
  const warnings: string[] = []
  const choice = <T extends string>(name: string, allowed: readonly T[], absent: T): T => {
    const value = variables.content(name)
    const found = allowed.find((each) => each === value)
    if (found !== undefined || value === '') return found ?? absent
    warnings.push(`${name}: expected one of ${allowed.join(', ')}, got ${JSON.stringify(value)}, using ${absent}`)
    return absent
  }
  const words = (name: string, absent: string[]): string[] => {
    const value = variables.content(name).trim()
    if (value === '') return absent
    return value === 'none' ? [] : value.split(/\s+/)
  }
  const flag = (name: string, absent: boolean): boolean => {
    const value = variables.content(name).trim()
    if (value === '') return absent
    if (/^(1|t|true|0|f|false)$/i.test(value)) return variables.flag(name)
    warnings.push(`${name}: expected true or false, got ${JSON.stringify(value)}, using ${absent}`)
    return absent
  }
  const integer = (name: string, absent: number): number => {
    const value = variables.content(name).trim()
    if (value === '') return absent
    if (/^[+-]?\d+$/.test(value)) return Number(value)
    warnings.push(`${name}: expected a number, got ${JSON.stringify(value)}, using ${absent}`)
    return absent
  }
  const attempts = (name: string): number => {
    const value = integer(name, 1)
    const clamped = Math.max(1, Math.min(10, value))
    if (value !== clamped) warnings.push(`${name}: ${value} is out of the range 1 to 10, using ${clamped}`)
    return clamped
  }
  const timeout = (name: string, absentMs: number): number => {
    const value = variables.content(name).trim()
    if (value === '') return absentMs
    const ms = parseDuration(value)
    if (ms === undefined || ms < 0) {
      warnings.push(`ignoring malformed ${name} timeout: ${value}`)
      return absentMs
    }
    if (ms > payload.timeoutMs) {
      warnings.push(`${name} timeout: ${value} is longer than job timeout. Setting to job timeout`)
      return absentMs
    }
    return ms === 0 ? absentMs : ms
  }
  const strategy = choice(
    'GIT_STRATEGY',
    ['fetch', 'clone', 'none', 'empty'] as const,
    payload.allowGitFetch ? 'fetch' : 'clone',
  )
  const sources = strategy === 'fetch' || strategy === 'clone'
  return {
    strategy,
    checkout: sources && flag('GIT_CHECKOUT', true),
    clonePath: variables.content('GIT_CLONE_PATH'),
    cleanFlags: words('GIT_CLEAN_FLAGS', ['-ffdx']),
    fetchFlags: words('GIT_FETCH_EXTRA_FLAGS', ['--prune', '--quiet']),
    submodules: sources ? choice('GIT_SUBMODULE_STRATEGY', ['none', 'normal', 'recursive'] as const, 'none') : 'none',
    submoduleDepth: integer('GIT_SUBMODULE_DEPTH', payload.git.depth),
    submodulePaths: words('GIT_SUBMODULE_PATHS', []),
    submoduleFlags: words('GIT_SUBMODULE_UPDATE_FLAGS', []),
    skipLfs: flag('GIT_LFS_SKIP_SMUDGE', false),
    sourcesAttempts: attempts('GET_SOURCES_ATTEMPTS'),
    downloadAttempts: attempts('ARTIFACT_DOWNLOAD_ATTEMPTS'),
    ignoreAfterScriptErrors: flag('AFTER_SCRIPT_IGNORE_ERRORS', true),
    scriptTimeoutMs: timeout('RUNNER_SCRIPT_TIMEOUT', 0),
    afterScriptTimeoutMs: timeout('RUNNER_AFTER_SCRIPT_TIMEOUT', 300_000),
    trace: flag('CI_DEBUG_TRACE', false),
    warnings,
  }
}
