/** The environment of a job's processes. */

const inherited = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TERM',
  'TMPDIR',
  'SSH_AUTH_SOCK',
  'XDG_RUNTIME_DIR',
  // How the host reaches the network and whom it trusts.
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'DOCKER_HOST',
]

/** The variable that marks every process of a session, so that those which left its process group are found again. */
export const sessionMarker = 'SIGNALBOX_JOB_SESSION'

/**
 * The environment of a job's processes: what a login on this host needs, then the job's own variables. Nothing else of
 * ours is passed on, since it may hold the coordinator's or the runner's secrets.
 */
export function jobEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  job: Readonly<Record<string, string>>,
  session: string,
): Record<string, string> {
  const env: Record<string, string> = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
  for (const name of [...inherited, ...Object.keys(own).filter((each) => each.startsWith('LC_'))]) {
    const value = own[name]
    if (value !== undefined && value !== '') env[name] = value
  }
  return { ...env, ...job, [sessionMarker]: session }
}
