/** What a container is made with: from the settings of the runner and the wishes of the job to the words of the API. */
import type { PrepareInput } from '../../sdk.js'
import type { DockerOptions } from './options.js'

/** Labels on everything that is made, by which it is found again: after a crash, and by people. */
export const labels = {
  managed: 'signalbox.managed',
  session: 'signalbox.session',
  job: 'signalbox.job.id',
  project: 'signalbox.project.id',
  runner: 'signalbox.runner',
  type: 'signalbox.type',
} as const

export function labelsFor(
  input: PrepareInput,
  type: 'build' | 'service' | 'network' | 'cache' | 'helper',
): Record<string, string> {
  const { session, job, runner } = input
  return {
    [labels.managed]: 'true',
    // What is kept for later jobs is of none of them.
    ...(type === 'cache' ? {} : { [labels.session]: session, [labels.job]: String(job.id) }),
    [labels.project]: String(job.projectId),
    [labels.runner]: runner.shortToken,
    [labels.type]: type,
  }
}

/** The part of the engine's `HostConfig` that is the same for the job's container and its services. */
export function commonHostConfig(options: DockerOptions): Record<string, unknown> {
  return {
    ...ifGiven('CapAdd', options.cap_add),
    ...ifGiven('CapDrop', options.cap_drop),
    ...ifGiven('Dns', options.dns),
    ...ifGiven('DnsSearch', options.dns_search),
    ...ifGiven('ExtraHosts', options.extra_hosts),
    ...ifGiven('SecurityOpt', options.security_opt),
    ...(options.runtime === undefined ? {} : { Runtime: options.runtime }),
    ...(options.userns_mode === undefined ? {} : { UsernsMode: options.userns_mode }),
    ...(options.shm_size === 0 ? {} : { ShmSize: options.shm_size }),
    ...(Object.keys(options.sysctls).length === 0 ? {} : { Sysctls: options.sysctls }),
    ...ifGiven('Ulimits', Object.entries(options.ulimit).map(ulimitOf)),
    // The output is taken as it comes; the engine need not keep a second copy.
    LogConfig: { Type: 'none', Config: {} },
  }
}

/** What the job's own container is given besides. */
export function jobHostConfig(options: DockerOptions, image: string): Record<string, unknown> {
  return {
    ...commonHostConfig(options),
    Privileged: isPrivileged(options, image),
    ...limit('Memory', options.memory),
    ...limit('MemorySwap', options.memory_swap),
    ...limit('MemoryReservation', options.memory_reservation),
    ...limit('CpuShares', options.cpu_shares),
    ...(options.cpus === undefined ? {} : { NanoCpus: Math.round(options.cpus * 1e9) }),
    ...(options.cpuset_cpus === undefined ? {} : { CpusetCpus: options.cpuset_cpus }),
    ...(options.oom_kill_disable ? { OomKillDisable: true } : {}),
    ...limit('OomScoreAdj', options.oom_score_adjust),
    ...ifGiven('Devices', options.devices.map(deviceOf)),
    ...(options.gpus === undefined ? {} : { DeviceRequests: [gpuRequest(options.gpus)] }),
    ...ifGiven('GroupAdd', options.group_add),
    ...(Object.keys(options.tmpfs).length === 0 ? {} : { Tmpfs: options.tmpfs }),
  }
}

/** The same for a service. */
export function serviceHostConfig(options: DockerOptions, image: string): Record<string, unknown> {
  return {
    ...commonHostConfig(options),
    Privileged: options.services_privileged ?? isPrivileged(options, image),
    ...limit('Memory', options.service_memory),
    ...(options.service_cpus === undefined ? {} : { NanoCpus: Math.round(options.service_cpus * 1e9) }),
    ...(Object.keys(options.services_tmpfs).length === 0 ? {} : { Tmpfs: options.services_tmpfs }),
    // Shown where one does not come up.
    LogConfig: {},
  }
}

function isPrivileged({ privileged, allowed_privileged_images: allowed }: DockerOptions, image: string): boolean {
  return privileged && (allowed.length === 0 || allowed.includes(image))
}

function ifGiven(key: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length === 0 ? {} : { [key]: list }
}

function limit(key: string, value: number | undefined): Record<string, number> {
  return value === undefined ? {} : { [key]: value }
}

/** `/dev/kvm`, `/dev/kvm:/dev/kvm:rwm`. */
function deviceOf(text: string): Record<string, string> {
  const [host = '', inside = host, permissions = 'rwm'] = text.split(':')
  return { PathOnHost: host, PathInContainer: inside, CgroupPermissions: permissions }
}

/** `all`, a number, or `device=ID,ID`. */
function gpuRequest(text: string): Record<string, unknown> {
  const devices = /^"?device=([^"]+)"?$/.exec(text)?.[1]
  const count = text === 'all' ? -1 : Number(text)
  return {
    Driver: '',
    ...(devices === undefined ? { Count: count } : { DeviceIDs: devices.split(',') }),
    Capabilities: [['gpu']],
  }
}

/** `nofile = "1024:2048"`. */
function ulimitOf([Name, text]: [string, string]): Record<string, unknown> {
  const [soft, hard = soft] = text.split(':').map(Number)
  return { Name, Soft: soft, Hard: hard }
}
