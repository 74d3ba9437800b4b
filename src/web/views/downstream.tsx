/** The pipelines that trigger jobs of a pipeline have made. */
import { useData } from '../data.js'
import { Status } from '../parts/status.js'

interface Bridge {
  id: number
  downstream_pipeline: { id: number; status: string; web_url: string } | null
}

export type Downstream = ReadonlyMap<number, NonNullable<Bridge['downstream_pipeline']>>

/** By trigger job; nothing for those that have made none yet, or one that is not for whoever looks. */
export function useDownstream(projectId: number | undefined, pipelineId: number): Downstream {
  const { data } = useData<Bridge[]>(
    projectId === undefined ? undefined : `/api/v4/projects/${projectId}/pipelines/${pipelineId}/bridges?per_page=100`,
    (change) => change.kind.startsWith('pipeline.'),
  )
  return new Map(data?.flatMap((one) => (one.downstream_pipeline ? [[one.id, one.downstream_pipeline]] : [])))
}

/** The way to one. */
export function DownstreamLink({ pipeline }: { pipeline: { id: number; status: string; web_url: string } }) {
  return (
    <a class="downstream" href={new URL(pipeline.web_url).pathname}>
      <span aria-hidden="true">↳</span> <Status status={pipeline.status} bare /> Pipeline #{pipeline.id}
    </a>
  )
}
