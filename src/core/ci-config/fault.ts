/**
 * What stops a step of compilation: thrown inside this module, turned into a `ConfigError` at its edge by
 * `Sources.describe`. `at` is a place as `Sources` counts it.
 */
export class ConfigFault extends Error {
  override readonly name = 'ConfigFault'
  readonly at: number
  readonly path: string

  constructor(message: string, at: number, path = '') {
    super(message)
    this.at = at
    this.path = path
  }
}
