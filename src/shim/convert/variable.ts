/** Variables that people set, as gitlab lib/api/entities/ci/variable.rb shows them; and the settings that a request gives. */
import { defined } from '../../core/defined.js'
import type { OpenVariable, VariableSettings } from '../../core/operations/edit-variable.js'
import type { Params } from '../../http/params.js'
import type { VariableEntity } from '../entities.js'

/** The value of a hidden one is null. */
export function toVariable(variable: OpenVariable): VariableEntity {
  return {
    variable_type: variable.file === 1 ? 'file' : 'env_var',
    key: variable.key,
    value: variable.hidden === 1 ? null : variable.value,
    hidden: variable.hidden === 1,
    protected: variable.protected === 1,
    masked: variable.masked === 1,
    raw: variable.raw === 1,
    ...(variable.ownerType === 'instance' ? {} : { environment_scope: variable.environmentScope }),
    description: variable.description,
  }
}

/** Those that the request does not name are absent. */
export function fromVariableSettings(params: Params): VariableSettings {
  const type = params.choice('variable_type', ['env_var', 'file'])
  const settings = {
    value: params.text('value', { loose: true }),
    file: type === undefined ? undefined : type === 'file',
    protected: params.boolean('protected'),
    masked: params.boolean('masked'),
    raw: params.boolean('raw'),
    environmentScope: params.text('environment_scope') || undefined,
    description: params.text('description'),
  }
  return defined(settings)
}
