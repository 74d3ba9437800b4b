/**
 * Where a project's configuration is: a file of its own, or one of another project or of the web.
 * Rules: https://docs.gitlab.com/ci/pipelines/settings/#specify-a-custom-cicd-configuration-file
 */

/**
 * The configuration that stands for a path elsewhere (`FILE@GROUP/PROJECT`, `FILE@GROUP/PROJECT:REF`, a URL): it includes
 * the file, with the rights of whoever starts the pipeline. Undefined: the path is a file of the project itself.
 */
export function configElsewhere(configPath: string): string | undefined {
  if (/^https?:\/\//i.test(configPath)) return JSON.stringify({ include: [{ remote: configPath }] })
  const at = configPath.indexOf('@')
  if (at === -1) return undefined
  const file = configPath.slice(0, at)
  const [project = '', ...rest] = configPath.slice(at + 1).split(':')
  const ref = rest.join(':')
  return JSON.stringify({ include: [{ project, file, ...(ref === '' ? {} : { ref }) }] })
}
