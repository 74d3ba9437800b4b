/** Makes a runner, and shows the exact command that starts it. The token is shown once: the server keeps no copy. */

import { useState } from 'preact/hooks'
import { apart, fieldOf } from '../apart.js'
import { ask } from '../api.js'
import { Command } from '../parts/bits.js'
import type { FleetRunner } from './fleet.js'

interface Made {
  id: number
  token: string
}

interface Props {
  tags: string
  runners: readonly FleetRunner[]
  onMade: () => void
}

/** The form, and then the commands until the runner has been heard of. */
export function AddRunner({ tags, runners, onMade }: Props) {
  const [made, setMade] = useState<Made>()
  const [refusal, setRefusal] = useState('')
  const make = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    setRefusal('')
    try {
      const list = fieldOf(form, 'tags')
      const body = {
        runner_type: 'instance_type',
        description: fieldOf(form, 'description') || 'runner',
        run_untagged: form.get('untagged') === 'on' || list === '',
        ...(list === '' ? {} : { tag_list: list }),
      }
      setMade(await ask<Made>('/api/v4/user/runners', { method: 'POST', body }))
      onMade()
    } catch (error) {
      setRefusal((error as Error).message)
    }
  }
  if (made) return <Start made={made} seen={runners.find((one) => one.id === made.id)?.contacted_at != null} />
  return (
    <form class="panel" onSubmit={(event) => apart(make(event))}>
      <label>
        Description
        <input name="description" placeholder="where it runs" />
      </label>
      <label>
        Tags, with commas between
        <input name="tags" value={tags} placeholder="docker, linux" />
      </label>
      <label class="row">
        <input name="untagged" type="checkbox" checked={tags === ''} /> Also jobs without tags
      </label>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <button type="submit" class="main">
        Make it
      </button>
    </form>
  )
}

function Start({ made, seen }: { made: Made; seen: boolean }) {
  const url = location.origin
  return (
    <section class="panel" aria-label="Start the runner">
      <h2>Runner {made.id} is made: start it</h2>
      <p>
        Its token is shown now and never again. Paste <strong>one</strong> of these where it is to run:
      </p>
      <h3>Signalbox runner, by a stream: jobs come the instant they can run</h3>
      <Command>{`SIGNALBOX_RUNNER_TOKEN=${made.token} npx signalbox runner start --url ${url}`}</Command>
      <h3>GitLab Runner, by polling</h3>
      <Command>{`gitlab-runner register --non-interactive --executor shell --url ${url} --token ${made.token}`}</Command>
      <h3>GitLab Runner, by the Job Router</h3>
      <Command>{`gitlab-runner register --non-interactive --executor shell --url ${url} --token ${made.token} && FF_USE_JOB_ROUTER=true gitlab-runner run`}</Command>
      <output class={seen ? 'good' : 'dim'}>
        {seen ? '✓ It is here, and takes jobs.' : 'Waiting for it to be heard of…'}
      </output>
    </section>
  )
}
