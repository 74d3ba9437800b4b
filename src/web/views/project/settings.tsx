/** What is set for a project itself. */
import { useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { useData } from '../../data.js'
import { Action } from '../../parts/action.js'
import { Loading, Refused } from '../../parts/bits.js'
import { type Field, Form } from '../../parts/form.js'
import type { Row } from '../../parts/listing.js'

const fields: readonly Field[] = [
  { name: 'description', label: 'Description' },
  {
    name: 'visibility',
    label: 'Seen by',
    options: [
      ['private', 'members'],
      ['internal', 'everybody who has signed in'],
      ['public', 'everybody'],
    ],
  },
  { name: 'default_branch', label: 'Default branch' },
  { name: 'ci_config_path', label: 'Configuration file', hint: 'in the repository; or an address' },
  { name: 'build_timeout', label: 'Timeout of jobs, in seconds', kind: 'number', hint: 'at least 600' },
  {
    name: 'auto_cancel_pending_pipelines',
    label: 'A newer pipeline of a branch cancels older ones',
    options: [
      ['enabled', 'yes'],
      ['disabled', 'no'],
    ],
  },
  {
    name: 'ci_delete_pipelines_in_seconds',
    label: 'Pipelines are deleted after seconds',
    kind: 'number',
    hint: 'empty: never',
  },
  { name: 'shared_runners_enabled', label: 'Instance runners', kind: 'check' },
  { name: 'group_runners_enabled', label: 'Runners of the groups', kind: 'check' },
  { name: 'keep_latest_artifact', label: 'The newest artifacts of each branch are kept', kind: 'check' },
  { name: 'ci_forward_deployment_enabled', label: 'Older deployments are not run after newer ones', kind: 'check' },
  { name: 'merge_pipelines_enabled', label: 'Pipelines of merge requests test what merging makes', kind: 'check' },
]

/** The form, and the way out. */
export function General({ base }: { base: string }) {
  const { route } = useLocation()
  const { data, error, reload } = useData<Row>(base)
  const [saved, setSaved] = useState(false)
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  return (
    <>
      <Form
        fields={fields.map((field) => ({ ...field, value: data[field.name] }))}
        path={base}
        method="PUT"
        label="Save"
        onDone={() => {
          setSaved(true)
          reload()
        }}
      />
      {saved && <output class="good">✓ Saved</output>}
      {data.import_url ? (
        <p class="facts">
          <span>
            Mirrored from <span class="code">{data.import_url}</span>
          </span>
          <Action label="Fetch now" path={`${base}/mirror/pull`} />
        </p>
      ) : null}
      <section class="panel" aria-label="Delete the project">
        <h2>Delete the project</h2>
        <p>Its pipelines, logs, artifacts and repository go with it, and do not come back.</p>
        <Action
          label="Delete"
          name={`Delete ${data.path_with_namespace}`}
          path={base}
          method="DELETE"
          kind="danger"
          sure
          onDone={() => route('/')}
        />
      </section>
    </>
  )
}
