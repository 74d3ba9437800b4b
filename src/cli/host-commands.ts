/** The commands of `signalbox runner` for the host that runners run on. */
import { type Command, Option } from 'commander'

const configFlag = ['--config <file>', 'signalbox-runner.toml; default: here, then /etc/signalbox'] as const
const jsonFlag = ['--json', 'print one JSON document'] as const
const urlFlag = ['--url <url>', 'the coordinator; default: SIGNALBOX_URL'] as const

/** Adds them below `runner`. */
export function addHostCommands(runner: Command): void {
  withToken(runner.command('start').description('start a runner on this machine'))
    .option('--url <url>', 'http(s)://, ws(s):// or grpc(s)://')
    .addOption(new Option('--transport <name>', 'default by the URL').choices(['websocket', 'grpc', 'poll']))
    .option('--executor <name>', 'how jobs are run', 'shell')
    .option('--concurrency <n>', 'jobs at once', '1')
    .option('--work-dir <dir>', 'where jobs work', './signalbox-work')
    .option('--config <file>', 'the [[runners]] of this process, or plugins for the executor of one')
    .option('--register', 'put this runner into the file first, as `runner register` does, and start all of it')
    .option('--name <name>', 'with --register: its name in the file')
    .option('--metrics <host:port>', 'serve /metrics there')
    .option('--runner-config <file>', 'listen_address and monitoring of a GitLab Runner’s config.toml')
    .action(async (options) => (await import('./commands/runner-start.js')).startRunnerCommand(options))
  withToken(runner.command('register').description('put a runner into this host’s signalbox-runner.toml'))
    .option(...urlFlag)
    .option(...configFlag)
    .option('--name <name>', 'its name in the file; default: the host’s')
    .option('--executor <name>', 'how jobs are run', 'shell')
    .option('--limit <n>', 'jobs of it at once')
    .option('--docker-image <image>', 'for jobs that name none')
    .option('--description <text>', 'with a registration token: what the coordinator calls it')
    .option('--tags <a,b>', 'with a registration token: comma-separated')
    .option('--run-untagged', 'with a registration token: take jobs without tags too')
    .action(async (options) => (await import('./commands/runner-register.js')).registerRunner(options))
  runner
    .command('unregister')
    .argument('<NAME>')
    .description('delete it here and at its coordinator')
    .option(...configFlag)
    .option('--url <url>', 'default: the file’s')
    .action(async (name, options) => (await import('./commands/runner-unregister.js')).unregisterRunner(name, options))
  withToken(runner.command('verify').description('ask the coordinator whether it knows this host’s runners'))
    .option(...urlFlag)
    .option(...configFlag)
    .option(...jsonFlag)
    .action(async (options) => (await import('./commands/runner-host.js')).verifyRunners(options))
  runner
    .command('status')
    .description('say whether this host’s runners run, and their jobs')
    .option(...configFlag)
    .option(...jsonFlag)
    .action(async (options) => (await import('./commands/runner-host.js')).showHostStatus(options))
  runner
    .command('list')
    .description('list the coordinator’s runners, or with --config those of this host’s file')
    .option('--config <file>', 'what is configured there, and what the coordinator says of each')
    .option(...jsonFlag)
    .action(async (options) =>
      options.config === undefined
        ? (await import('./commands/runner.js')).listRunners(options)
        : (await import('./commands/runner-host.js')).listHostRunners(options),
    )
  runner
    .command('prune')
    .description('remove what jobs have left at this host’s container engines')
    .option(...configFlag)
    .option('--volumes', 'also what is kept between jobs')
    .option('--all', 'of runners that the file does not name too; none of them may run')
    .option('--dry-run', 'only say what would go')
    .option(...jsonFlag)
    .action(async (options) => (await import('./commands/runner-prune.js')).pruneRunners(options))
  runner
    .command('check')
    .argument('<COMMAND...>', 'starts the runner; it finds SIGNALBOX_URL, SIGNALBOX_RUNNER_TOKEN, SIGNALBOX_WORK_DIR')
    .description('judge a runner of your own by the rules of the protocol: -- COMMAND')
    .addOption(new Option('--transport <name>', 'default: websocket').choices(['websocket', 'grpc']))
    .option('--within <seconds>', 'how long an answer may take', '10')
    .option('--rule <name...>', 'only these rules')
    .option('--junit <file>', 'write a report in the form of JUnit')
    .option(...jsonFlag)
    .action(async (command, options) =>
      (await import('./commands/runner-check.js')).checkRunnerCommand(command, options),
    )
  runner
    .command('import')
    .argument('<FILE>', 'config.toml of a GitLab Runner')
    .description(
      'say what to change for a GitLab Runner to work for this coordinator, or write a signalbox-runner.toml',
    )
    .option(...urlFlag)
    .option('--write <file>', 'write the runners there as ours')
    .option(...jsonFlag)
    .action(async (file, options) => (await import('./commands/runner-import.js')).importRunners(file, options))
}

function withToken(command: Command): Command {
  return command
    .option('--token <token>', 'the runner’s token (glrt-…)')
    .option('--token-file <file>', 'a file that holds it, `-` for standard input; default: SIGNALBOX_RUNNER_TOKEN')
    .option('--tls-ca-file <file>', 'CA of the coordinator; default: SIGNALBOX_TLS_CA_FILE, then the public ones')
    .option('--tls-cert-file <file>', 'certificate to show it; default: SIGNALBOX_TLS_CERT_FILE')
    .option('--tls-key-file <file>', 'key of that; default: SIGNALBOX_TLS_KEY_FILE')
}
