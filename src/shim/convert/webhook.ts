/** Webhooks, as gitlab lib/api/entities/project_hook.rb shows them; the token is never shown. */
import type { Webhook, WebhookSecrets } from '../../core/webhook.js'
import { toIso } from './time.js'

/** Kinds of events that happen elsewhere: nobody is told of them here. */
const never = [
  'push_events',
  'tag_push_events',
  'merge_requests_events',
  'issues_events',
  'confidential_issues_events',
  'note_events',
  'confidential_note_events',
  'wiki_page_events',
  'deployment_events',
  'releases_events',
  'feature_flag_events',
  'milestone_events',
  'emoji_events',
  'resource_access_token_events',
  'repository_update_events',
] as const

export function toWebhook(webhook: Webhook, { url, token }: WebhookSecrets, now: number): object {
  const disabled = webhook.disabledUntil !== null && webhook.disabledUntil > now
  return {
    id: webhook.id,
    url,
    name: webhook.name,
    description: webhook.description,
    created_at: toIso(webhook.createdAt),
    project_id: webhook.projectId,
    job_events: webhook.jobEvents,
    pipeline_events: webhook.pipelineEvents,
    ...Object.fromEntries(never.map((kind) => [kind, false])),
    enable_ssl_verification: webhook.verifiesTls,
    token_present: token !== null,
    push_events_branch_filter: null,
    branch_filter_strategy: 'wildcard',
    custom_webhook_template: '',
    custom_headers: [],
    url_variables: [],
    alert_status: disabled ? 'temporarily_disabled' : 'executable',
    disabled_until: disabled ? toIso(webhook.disabledUntil) : null,
  }
}
