/** The form that runs a pipeline by hand, with variables. */

import { useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { apart, fieldOf } from '../apart.js'
import { ask } from '../api.js'
import { hrefs } from '../places.js'
import type { PipelineRow, Project } from '../types.js'

/** The variables of lines of `NAME=value`. Throws for a line that is none. */
export function variablesOf(text: string): { key: string; value: string }[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, key, value] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? []
      if (key === undefined) throw new Error(`“${line.trim()}” is not NAME=value`)
      return { key, value: value ?? '' }
    })
}

/** The form; whoever sends it is taken to the pipeline. */
export function RunPipeline({ project }: { project: Project }) {
  const { route } = useLocation()
  const [refusal, setRefusal] = useState('')
  const run = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    setRefusal('')
    try {
      const body = { ref: fieldOf(form, 'ref'), variables: variablesOf(fieldOf(form, 'variables')) }
      const made = await ask<PipelineRow>(`/api/v4/projects/${project.id}/pipeline`, { method: 'POST', body })
      route(hrefs.pipeline(project.path_with_namespace, made.id))
    } catch (error) {
      setRefusal((error as Error).message)
    }
  }
  return (
    <form class="panel" onSubmit={(event) => apart(run(event))}>
      <label>
        Branch or tag
        <input name="ref" required value={project.default_branch} />
      </label>
      <label>
        Variables, one a line: NAME=value
        <textarea name="variables" rows={3} class="code" />
      </label>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <button type="submit" class="main">
        Run
      </button>
    </form>
  )
}
