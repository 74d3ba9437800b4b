/** The images that a job wants, of what the runner allows. */
import type { JobImage, PrepareInput } from '../../sdk.js'
import type { Engine } from './engine.js'
import { isAllowed } from './image-names.js'
import { effectivePolicies, getImage, type Image, ImageError } from './images.js'
import type { DockerOptions } from './options.js'
import type { Service, ServiceWanted } from './services.js'

export interface ImagesAround {
  engine: Engine
  options: DockerOptions
  input: PrepareInput
  /** The runner's own environment. */
  env: NodeJS.ProcessEnv
  say: (text: string) => Promise<void>
}

/** Gets the image of the job. Throws `ImageError`. */
export function jobImage(wanted: JobImage, around: ImagesAround): Promise<Image> {
  const { image, allowed_images: allowed } = around.options
  return imageOf(wanted, wanted.name === image ? [] : allowed, around)
}

/** Gets the images of the services: those of every job, then the job's own. Throws `ImageError`. */
export async function serviceImages(around: ImagesAround): Promise<Service[]> {
  const services: Service[] = []
  for (const wanted of servicesOf(around)) {
    services.push({ wanted, image: await imageOf(wanted, around.options.allowed_services, around) })
  }
  return services
}

function servicesOf({ options, input }: ImagesAround): ServiceWanted[] {
  const own = options.services.map(
    ({ environment, ...more }): ServiceWanted => ({
      ...more,
      variables: Object.fromEntries(environment.map((each) => each.split(/=(.*)/s).slice(0, 2))),
    }),
  )
  const all = [...own, ...input.job.services]
  const most = options.services_limit ?? -1
  if (most >= 0 && all.length > most) {
    throw new ImageError(`the job has ${all.length} services, and this runner allows ${most}`, 'config')
  }
  return all
}

async function imageOf(wanted: JobImage, allowed: readonly string[], around: ImagesAround): Promise<Image> {
  const { engine, options, input, env, say } = around
  const { name, pullPolicy, platform } = wanted
  if (!isImageName(name)) throw new ImageError(`${JSON.stringify(name)} is not the name of an image`, 'config')
  if (!isAllowed(name, allowed)) {
    throw new ImageError(
      `the image ${name} is not among those that this runner allows: ${allowed.join(', ')}`,
      'config',
    )
  }
  const policies = effectivePolicies(pullPolicy, options)
  const { variables, credentials } = input.job
  const auth = { variable: variables.DOCKER_AUTH_CONFIG ?? '', credentials, env }
  return getImage(engine, { name, platform, policies }, auth, say)
}

/** https://github.com/distribution/reference: nothing that would lead elsewhere in a path of the API. */
function isImageName(name: string): boolean {
  return /^[\w][\w./:@+-]{0,500}$/.test(name) && !name.includes('..') && !name.includes('//')
}
