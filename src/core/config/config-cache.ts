/**
 * Compiled configurations by commit. Compiling looks at the file, what it includes and some variables, never at rules of
 * jobs, so one compilation serves many pipelines of a commit; the rules are evaluated each time. A configuration whose
 * includes lie elsewhere or hang on variables is kept with what it looked at, and used again only while all of that is
 * as it was. Bounded by an estimate of bytes: what was not used lately goes first.
 */
import { BoundedCache } from '../bounded-cache.js'
import type { CompileOptions, CompileResult } from '../ci-config/compilation.js'
import type { CiLanguage } from '../ci-config/language.js'
import { packedOf } from '../ci-config/language-pool.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { CommitInfo, Project } from '../project.js'
import { ConfigFiles, type ConfigPlace, type ConfigWorld } from './config-files.js'
import { configElsewhere } from './config-place.js'

/** A commit, and the configuration that it has. */
export interface LoadedConfig {
  commit: CommitInfo
  /** Undefined: the commit has no configuration file. */
  result: CompileResult | undefined
}

/** What configurations are compiled by, and how much of them is kept. */
export interface ConfigCacheOptions extends ConfigWorld {
  language: Pick<CiLanguage, 'compile'>
  /** Estimated bytes; default 256 MiB. */
  limitBytes?: number
}

/** For whom and with what a configuration is compiled. */
export interface ConfigRequest
  extends Pick<ConfigPlace, 'user'>,
    Partial<Pick<ConfigPlace, 'changedPaths' | 'artifactFile'>> {
  /** Those that `include` may use. */
  variables: readonly PlanVariable[]
  /** Also make the outline. */
  outline?: boolean
  /** Values for the inputs of the file's header. What is compiled with some is not kept. */
  inputs?: Readonly<Record<string, unknown>>
}

/** One way in which the file of a commit compiles. */
interface Variant {
  result: CompileResult
  files: ConfigFiles
  /** The variables that were looked at, as they were. */
  looked: readonly { name: string; seen: string }[]
}

interface Kept {
  commit: CommitInfo
  /** The latest first; none: the commit has no configuration file. */
  variants: readonly Variant[]
}

/** Ways to compile one commit that are kept. */
const variantsKept = 8
const standardLimitBytes = 256 * 1024 * 1024

/** Compiled configurations by commit, used least recently first out. */
export class ConfigCache {
  readonly #options: ConfigCacheOptions
  readonly #kept: BoundedCache<Kept>
  /** Loads of the same commit take turns: the second mostly finds what the first has made. */
  readonly #loading = new Map<string, Promise<unknown>>()

  constructor(options: ConfigCacheOptions) {
    this.#options = options
    this.#kept = new BoundedCache(options.limitBytes ?? standardLimitBytes)
  }

  /** The configuration of a project at a commit. */
  async load(project: Project, sha: string, request: ConfigRequest): Promise<LoadedConfig> {
    if (request.inputs !== undefined) return this.#loadWithInputs(project, sha, request)
    const key = `${project.id} ${sha} ${project.configPath}`
    for (let other = this.#loading.get(key); other; other = this.#loading.get(key)) await other.catch(() => undefined)
    const place = placeOf(project, sha, request)
    const kept = this.#kept.get(key)
    if (kept?.variants.length === 0) return { commit: kept.commit, result: undefined }
    const variables = lookUp(request.variables)
    for (const variant of kept?.variants ?? []) {
      if (await fits(variant, variables, place)) return { commit: kept!.commit, result: variant.result }
    }
    const loading = this.#load(key, place, request.variables)
    this.#loading.set(key, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(key)
    }
  }

  /** Compiles a text as if it were the project's file at the commit; nothing is kept. */
  async compile(
    project: Project,
    sha: string | undefined,
    source: string,
    request: ConfigRequest,
  ): Promise<CompileResult> {
    const place = placeOf(project, sha, request)
    return (await this.#compile(source, place, request)).result
  }

  /** The text of the configuration; undefined: the commit has none. */
  async #source(project: Project, sha: string): Promise<string | undefined> {
    return configElsewhere(project.configPath) ?? this.#options.repositories.readFile(project, sha, project.configPath)
  }

  async #loadWithInputs(project: Project, sha: string, request: ConfigRequest): Promise<LoadedConfig> {
    const { repositories } = this.#options
    const [commit, source] = await Promise.all([repositories.commit(project, sha), this.#source(project, sha)])
    return { commit, result: source === undefined ? undefined : await this.compile(project, sha, source, request) }
  }

  async #load(
    key: string,
    place: ConfigPlace & { sha: string },
    variables: readonly PlanVariable[],
  ): Promise<LoadedConfig> {
    const { repositories } = this.#options
    const { project, sha } = place
    const [commit, source] = await Promise.all([repositories.commit(project, sha), this.#source(project, sha)])
    if (source === undefined) {
      this.#kept.set(key, { commit, variants: [] }, emptyWeight)
      return { commit, result: undefined }
    }
    const { result, files } = await this.#compile(source, place, { variables })
    if (result.looked !== undefined && files.isLasting) {
      const seen = lookUp(variables)
      const variant = { result, files, looked: result.looked.map((name) => ({ name, seen: seen(name) })) }
      const variants = [variant, ...(this.#kept.get(key)?.variants ?? [])].slice(0, variantsKept)
      const weight = variants.reduce((sum, one) => sum + weightOf(one, source.length), emptyWeight)
      this.#kept.set(key, { commit, variants }, weight)
    }
    return { commit, result }
  }

  async #compile(
    source: string,
    place: ConfigPlace,
    { variables, inputs, outline }: Pick<ConfigRequest, 'variables' | 'inputs' | 'outline'>,
  ) {
    const files = new ConfigFiles(this.#options, place)
    const { fetchInclude, listFiles, changedPaths, changedSince } = files
    const options: CompileOptions = {
      file: place.project.configPath,
      variables: [...variables],
      fetchInclude,
      listFiles,
      changedPaths,
      changedSince,
      ...(place.artifactFile === undefined ? {} : { artifactIncludes: true }),
      ...(inputs === undefined ? {} : { inputs: { ...inputs } }),
      ...(outline === undefined ? {} : { outline }),
    }
    const result = await this.#options.language.compile(source, options, turnOf(place.project))
    return { result, files }
  }
}

/** On whose behalf the language works: projects take turns. */
export function turnOf(project: Pick<Project, 'id'>): string {
  return `project ${project.id}`
}

function placeOf<Sha extends string | undefined>(
  project: Project,
  sha: Sha,
  { user, changedPaths, artifactFile }: ConfigRequest,
) {
  return { project, sha, user, changedPaths, artifactFile }
}

async function fits(variant: Variant, seen: (name: string) => string, place: ConfigPlace): Promise<boolean> {
  return variant.looked.every((one) => seen(one.name) === one.seen) && variant.files.wouldRepeat(place)
}

/** Values by name, the last of equal names, told apart from none. The map is made when the first is asked for. */
function lookUp(variables: readonly PlanVariable[]): (name: string) => string {
  let byName: Map<string, PlanVariable> | undefined
  return (name) => {
    byName ??= new Map(variables.map((one) => [one.key, one]))
    const found = byName.get(name)
    return found === undefined
      ? ''
      : `${found.masked === true ? 'masked' : 'shown'} ${found.raw === true} ${found.value}`
  }
}

const emptyWeight = 1024
/** What a character of the files, and a job, come to when compiled: measured with files of 1,000 jobs. */
const bytesPerCharacter = 12
const bytesPerJob = 2048

function weightOf({ result, files }: Variant, characters: number): number {
  if (!result.ok) return characters
  const jobs = Array.isArray(result.config.jobs) ? result.config.jobs.length : undefined
  const packed = packedOf(result.config)?.byteLength ?? 0
  return packed + (jobs === undefined ? 0 : (characters + files.characters) * bytesPerCharacter + jobs * bytesPerJob)
}
