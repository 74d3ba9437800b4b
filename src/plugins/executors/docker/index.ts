/** The docker executor: jobs in containers of Docker or Podman. */
import { definePlugin, PluginConfigError } from '../../sdk.js'
import { DockerRunner } from './docker-runner.js'
import { type DockerOptions, readOptions } from './options.js'
import { parseVolume } from './volumes.js'

/** Runs each job in a container of the image that it names, beside its services. */
export default definePlugin<DockerOptions>({
  id: 'executor.docker',
  apiVersion: 1,
  config(given) {
    const options = readOptions(given)
    for (const [index, volume] of options.volumes.entries()) {
      try {
        parseVolume(volume)
      } catch (error) {
        throw new PluginConfigError(`volumes.${index}`, (error as Error).message)
      }
    }
    return options
  },
  setup(host, config) {
    const runner = new DockerRunner(config, process.env)
    host.executor('docker', {
      // GitLab Runner, `executors/docker/provider.go`. One that says of itself what it can is taken at its word.
      capabilities: ({ features }) => (features.includes('image') ? features : [...new Set([...features, ...own])]),
      runner,
    })
    return { close: () => runner.close() }
  },
})

const own = [
  'variables',
  'image',
  'services',
  'service_variables',
  'service_multiple_aliases',
  'image_executor_opts',
  'service_executor_opts',
]
