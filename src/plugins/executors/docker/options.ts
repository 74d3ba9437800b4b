/**
 * The settings of the docker executor, under the names that GitLab Runner's `[runners.docker]` has:
 * https://docs.gitlab.com/runner/configuration/advanced-configuration/#the-runnersdocker-section
 */
import { PluginConfigError } from '../../sdk.js'

/** Reads a value, at a place that it names when it throws. */
type Kind<T> = (value: unknown, place: string) => T

const kind =
  <T>(what: string, read: (value: unknown) => T | undefined): Kind<T> =>
  (value, place) => {
    const found = read(value)
    if (found === undefined) throw new PluginConfigError(place, `must be ${what}`)
    return found
  }

const text = kind('a text', (value) => (typeof value === 'string' ? value : undefined))
const flag = kind('true or false', (value) => (typeof value === 'boolean' ? value : undefined))
const whole = kind('a whole number', (value) => (Number.isSafeInteger(value) ? (value as number) : undefined))

const list =
  <T>(item: Kind<T>): Kind<T[]> =>
  (value, place) => {
    if (!Array.isArray(value)) throw new PluginConfigError(place, 'must be a list')
    return value.map((one, index) => item(one, `${place}.${index}`))
  }
const texts = list(text)

const map: Kind<Record<string, string>> = (value, place) => {
  if (!isTable(value)) throw new PluginConfigError(place, 'must be a table')
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, text(one, `${place}.${key}`)]))
}

/** Bytes, given as a number or with a unit. Source of the form: Docker's go-units, RAMInBytes. */
const size = kind('a size such as "512m" or "2g"', (value) => {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(String(value).trim())
  if (match === null || (typeof value !== 'string' && typeof value !== 'number')) return undefined
  return Math.floor(Number(match[1]) * 1024 ** 'bkmgt'.indexOf((match[2] || 'b').toLowerCase()))
})

const cpus = kind('a number of CPUs such as "1.5"', (value) => {
  const count = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN
  return count > 0 && Number.isFinite(count) ? count : undefined
})

export const pullPolicies = ['always', 'if-not-present', 'never'] as const
export type PullPolicy = (typeof pullPolicies)[number]

const policy = kind(`one of ${pullPolicies.join(', ')}`, (value) => pullPolicies.find((each) => each === value))
/** One policy or several, tried in their order. */
const policies: Kind<PullPolicy[]> = (value, place) =>
  Array.isArray(value) ? list(policy)(value, place) : [policy(value, place)]

/** Reads a table whose keys are all known; a key that is not given is left out. */
const table =
  <K extends Record<string, Kind<unknown>>>(kinds: K): Kind<{ [Key in keyof K]?: ReturnType<K[Key]> }> =>
  (value, place) => {
    if (!isTable(value)) throw new PluginConfigError(place, 'must be a table')
    const within = (key: string) => (place === '' ? key : `${place}.${key}`)
    const given = Object.entries(value).filter(([, one]) => one !== undefined)
    const entries = given.map(([key, one]) => {
      const read = Object.hasOwn(kinds, key) ? kinds[key] : undefined
      if (read === undefined) throw new PluginConfigError(within(key), `unknown key ${JSON.stringify(key)}`)
      return [key, read(one, within(key))]
    })
    return Object.fromEntries(entries) as { [Key in keyof K]?: ReturnType<K[Key]> }
  }

const service: Kind<ServiceOptions> = (value, place) => {
  const { name, ...more } = table({ name: text, alias: text, command: texts, entrypoint: texts, environment: texts })(
    value,
    place,
  )
  if (name === undefined) throw new PluginConfigError(`${place}.name`, 'is missing')
  return { environment: [], ...more, name }
}

export interface ServiceOptions {
  name: string
  alias?: string
  command?: string[]
  entrypoint?: string[]
  /** `NAME=value`. */
  environment: string[]
}

const kinds = {
  host: text,
  tls_cert_path: text,
  tls_verify: flag,
  image: text,
  user: text,
  hostname: text,
  runtime: text,
  privileged: flag,
  services_privileged: flag,
  allowed_privileged_images: texts,
  disable_entrypoint_overwrite: flag,
  disable_cache: flag,
  oom_kill_disable: flag,
  oom_score_adjust: whole,
  volumes: texts,
  volume_driver: text,
  pull_policy: policies,
  allowed_pull_policies: policies,
  allowed_images: texts,
  allowed_services: texts,
  services: list(service),
  services_limit: whole,
  wait_for_services_timeout: whole,
  shm_size: size,
  memory: size,
  memory_swap: size,
  memory_reservation: size,
  cpus,
  cpu_shares: whole,
  cpuset_cpus: text,
  service_memory: size,
  service_cpus: cpus,
  extra_hosts: texts,
  dns: texts,
  dns_search: texts,
  network_mode: text,
  devices: texts,
  gpus: text,
  cap_add: texts,
  cap_drop: texts,
  security_opt: texts,
  group_add: texts,
  userns_mode: text,
  sysctls: map,
  tmpfs: map,
  services_tmpfs: map,
  ulimit: map,
  container_labels: map,
} satisfies Record<string, Kind<unknown>>
const readTable = table(kinds)

/** Whether the executor has such a setting. */
export function isDockerSetting(key: string): boolean {
  return Object.hasOwn(kinds, key)
}

const defaults = {
  privileged: false,
  allowed_privileged_images: [] as string[],
  disable_entrypoint_overwrite: false,
  disable_cache: false,
  oom_kill_disable: false,
  volumes: [] as string[],
  allowed_images: [] as string[],
  allowed_services: [] as string[],
  services: [] as ServiceOptions[],
  wait_for_services_timeout: 30,
  shm_size: 0,
  extra_hosts: [] as string[],
  dns: [] as string[],
  dns_search: [] as string[],
  devices: [] as string[],
  cap_add: [] as string[],
  cap_drop: [] as string[],
  security_opt: [] as string[],
  group_add: [] as string[],
  sysctls: {} as Record<string, string>,
  tmpfs: {} as Record<string, string>,
  services_tmpfs: {} as Record<string, string>,
  ulimit: {} as Record<string, string>,
  container_labels: {} as Record<string, string>,
}

type Given = ReturnType<typeof readTable>
export type DockerOptions = Omit<Given, keyof typeof defaults> & typeof defaults

/** Checks the table. Throws `PluginConfigError`, which names the key at fault. */
export function readOptions(given: Record<string, unknown>): DockerOptions {
  return { ...defaults, ...readTable(given, '') } as DockerOptions
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
