#!/usr/bin/env node
/** The `signalbox` command. Each command's file is loaded when it is called for, so that the quick ones stay quick. */
import { Command, CommanderError, Option } from 'commander'
import { asFault } from '../core/as-fault.js'
import { pipelineSources } from '../core/pipeline.js'
import { version } from '../core/version.js'
import { addonFailure } from './addon.js'
import { Exit, exitCodes } from './exit.js'
import { addHostCommands } from './host-commands.js'
import { printable } from './printable.js'
import { watchProcess } from './uncaught.js'

const codes = `
Exit codes: 0 done, 1 it ran and failed, 2 usage or configuration, 3 not found, 4 not allowed, 5 conflict,
            6 coordinator unreachable, 69 database away, 70 internal fault, 75 data folder in use, 124 timed out, 130 interrupted,
            141 whoever read the output has gone`

/** Collects a flag that may be given several times. */
const several = (value: string, before: string[] = []) => [...before, value]

/** Returns the command with all that it understands. */
function buildProgram(): Command {
  const program = new Command('signalbox')
    .description('A CI coordinator for unmodified .gitlab-ci.yml pipelines')
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for help)')
    .addHelpText('after', codes)
    .exitOverride()

  program
    .command('run')
    .argument('[JOB...]', 'only these jobs and what they need')
    .description('run the repository’s pipeline on this machine')
    .option('--cwd <dir>', 'the repository; default is this folder')
    .option('--file <file>', 'the configuration; default .gitlab-ci.yml')
    .option('--var <K=V>', 'a variable of the pipeline, may be repeated', several)
    .option('--var-file <file>', 'variables of the pipeline, as in a .env file; may be repeated', several)
    .option('--ref <ref>', 'branch or tag that the working tree stands for; default is the branch checked out')
    .addOption(new Option('--source <source>', 'what starts the pipeline').choices(pipelineSources).default('push'))
    .option('--project <path>', 'the project’s path; default is that of origin')
    .option('--allow-include-host <host>', 'include files from this host of the web, may be repeated', several)
    .option('--templates <place>', 'folder or address of the templates that are included')
    .addOption(
      new Option(
        '--executor <name>',
        'jobs with an image: in containers if an engine answers, or all in the shell',
      ).choices(['shell', 'docker']),
    )
    .option('--only', 'the jobs named, without what they need')
    .option('--artifacts <dir>', 'unpack what jobs keep into this folder')
    .option('--list', 'list the jobs and run nothing')
    .option('--quiet', 'say nothing but the end')
    .option('--timestamps', 'say when each line of a log came')
    .option('--ui', 'show the run on the page, in a browser, until you interrupt')
    .option('--json', 'print one JSON document')
    .action(async (jobs, options) => (await import('./commands/run.js')).run(jobs, options))

  program
    .command('serve')
    .description('start the coordinator')
    .option('--config <file>', 'settings; default signalbox.toml')
    .option('--data-dir <dir>', 'where everything is kept; default ./signalbox-data')
    .option('--http <host:port>', 'default 127.0.0.1:8080; port 0 takes a free one')
    .option('--grpc <host:port>', 'default 127.0.0.1:8081')
    .option('--database <url>', 'sqlite:PATH or postgres://…')
    .option('--external-url <url>', 'how runners and people reach this coordinator')
    .option('--ready-file <file>', 'written when both ports answer')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent')
    .option('--insecure', 'allow plain text on addresses that are not loopback')
    .option('--schema', 'print the JSON Schema of signalbox.toml and end')
    .action(async (options) => (await import('./commands/serve.js')).serve(options))

  addRunnerCommands(program)
  addProjectCommands(program)
  addVariableCommands(program)
  addPeopleCommands(program)
  addTokenCommands(program)
  addPipelineCommands(program)
  addJobCommands(program)

  program
    .command('lint')
    .argument('[FILE]', 'default .gitlab-ci.yml')
    .description('check a configuration')
    .option('--json', 'print one JSON document')
    .option('--merged', 'print the configuration with everything included and extended')
    .option('--jobs', 'tell of each job whether an event would run it, and which rule decides')
    .option('--ref <ref>', 'branch or tag of the event; default is the branch checked out')
    .addOption(new Option('--source <source>', 'what starts the pipeline').choices(pipelineSources).default('push'))
    .option('--var <K=V>', 'a variable of the pipeline, may be repeated', several)
    .option('--project <path>', 'the project’s path; default is that of origin')
    .option('--allow-include-host <host>', 'include files from this host of the web, may be repeated', several)
    .option('--templates <place>', 'folder or address of the templates that are included')
    .option('--schema', 'print a JSON Schema of the language, for editors')
    .action(async (file, options) => (await import('./commands/lint.js')).lint(file, options))

  program
    .command('inspect')
    .description('tell what has happened')
    .command('job')
    .argument('<ID>')
    .description('every change of a job, by whom and when (administrators)')
    .option('--json', 'print one JSON document')
    .action(async (id, options) => (await import('./commands/inspect.js')).inspectJob(id, options))

  const node = program.command('node').description('the coordinators that share a database')
  node
    .command('list')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/node.js')).listNodes(options))
  for (const [verb, what] of [
    ['drain', 'send its runners to other nodes and give it no new work'],
    ['resume', 'let a drained node have work again'],
  ] as const) {
    node
      .command(verb)
      .argument('<NAME>')
      .description(what)
      .action(async (name) => (await import('./commands/node.js')).drainNode(verb, name))
  }
  node
    .command('remove')
    .argument('<NAME>')
    .description('forget a node that is gone for good')
    .action(async (name) => (await import('./commands/node.js')).removeNode(name))

  const task = program.command('task').description('background tasks')
  task
    .command('list')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/task.js')).listTasks(options))
  for (const [name, what] of [
    ['run', 'run a task now and wait for it'],
    ['pause', 'stop a task from running'],
    ['resume', 'let a task run again'],
  ] as const) {
    task
      .command(name)
      .argument('<NAME>')
      .description(what)
      .action(async (which) => (await import('./commands/task.js')).changeTask(name, which))
  }

  program
    .command('backup')
    .argument('<FILE>', 'a zip file that is made')
    .description('back a running coordinator up: database, logs, artifacts, repositories, key (administrators)')
    .action(async (file) => (await import('./commands/backup.js')).backup(file))
  program
    .command('restore')
    .argument('<FILE>', 'what backup has made')
    .requiredOption('--data-dir <dir>', 'an empty folder, or one that is made')
    .description('unpack a backup, for serve to start on')
    .action(async (file, options) => (await import('./commands/backup.js')).restore(file, options))
  const usage = program.command('usage').description('compute minutes of instance runners (administrators)')
  usage
    .command('show', { isDefault: true })
    .description('what namespaces have used in a month')
    .option('--month <YYYY-MM>', 'default: this one')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/usage.js')).showUsage(options))
  usage
    .command('limit')
    .argument('<NAMESPACE>', 'a top-level group or user')
    .argument('<MINUTES>', 'a month, or none')
    .description('say how many minutes a namespace may use')
    .action(async (namespace, minutes) => (await import('./commands/usage.js')).limitUsage(namespace, minutes))

  const plugin = program.command('plugin').description('what extends the coordinator and its runners')
  plugin
    .command('list')
    .description('how each plugin does, and what it was last at fault for')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/plugin.js')).listPlugins(options))
  plugin
    .command('new')
    .argument('<KIND>', 'executor, classifier, exporter or admission')
    .argument('<NAME>', 'lower-case letters, digits and dashes')
    .description('make the folder of a new plugin: manifest, module, tests, README')
    .action(async (kind, name) => (await import('./commands/plugin-author.js')).newPlugin(kind, name))
  plugin
    .command('check')
    .argument('[DIR]', 'its folder, or a single file; default is this folder')
    .description('run the contract suite against a plugin, in a process of its own')
    .option('--config <file>', 'a TOML file with its configuration; default is signalbox.example of its package.json')
    .option('--env <name>', 'a variable that it gets of this environment, may be repeated', several)
    .option('--json', 'print one JSON document')
    .action(async (dir, options) => (await import('./commands/plugin-author.js')).checkPlugin(dir, options))
  for (const verb of ['enable', 'disable'] as const) {
    plugin
      .command(verb)
      .argument('<ID>', 'a plugin that is configured')
      .description(verb === 'enable' ? 'bring a plugin back into use' : 'take a plugin out of use until it is enabled')
      .action(async (id) => (await import('./commands/plugin.js')).switchPlugin(verb, id))
  }

  program
    .command('migrate')
    .description('bring the database to this version’s schema')
    .option('--config <file>')
    .option('--data-dir <dir>')
    .option('--database <url>')
    .option('--new-key', 'go on with the present key file although the store was sealed with another: that is lost')
    .action(async (options) => (await import('./commands/migrate.js')).migrate(options))

  program
    .command('doctor')
    .description('look for what would keep this machine, or a coordinator, from working')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/doctor.js')).doctor(options))

  program
    .command('sim')
    .description(
      'live through simulated days of crashes, jumping clocks and lying runners, and check that every rule holds',
    )
    .option('--seed <n>', 'the first seed; a seed decides everything (default 1)')
    .option('--seeds <n>', 'how many seeds, one after another (default 1)')
    .option('--steps <n>', 'events of each before all is healed (default 300)')
    .option('--json', 'print one JSON document a seed')
    .action(async (options) => (await import('./commands/sim.js')).sim(options))

  program
    .command('demo', { hidden: true })
    .option('--keep', 'stay up and print the address')
    .action(async (options) => (await import('./commands/demo.js')).demo(options))
  return program
}

function addRunnerCommands(program: Command): void {
  const runner = program.command('runner').description('runners')
  addHostCommands(runner)
  runner
    .command('create')
    .description('create a runner and print its token once')
    .option('--description <text>')
    .option('--tags <a,b>', 'comma-separated')
    .option('--run-untagged', 'take jobs without tags too (the default without --tags)')
    .option('--project <path>', 'serve this project only')
    .option('--group <path>', 'serve this group only')
    .option('--job-limit <n>', 'jobs at once, over all its processes')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/runner.js')).createRunner(options))
  runner
    .command('registration-token')
    .description('make a registration token for runners that register by themselves; the one before it is dead')
    .option('--project <path>', 'for runners of this project')
    .option('--group <path>', 'for runners of this group; default: of the instance (administrators)')
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./commands/runner.js')).makeRegistrationToken(options))
  runner
    .command('show')
    .argument('<ID>')
    .option('--json', 'print one JSON document')
    .action(async (id, options) => (await import('./commands/runner.js')).showRunner(id, options))
  for (const [name, what] of [
    ['pause', 'give the runner no more jobs'],
    ['resume', 'give the runner jobs again'],
  ] as const) {
    runner
      .command(name)
      .argument('<ID>')
      .description(what)
      .action(async (id) => (await import('./commands/runner.js')).pauseRunner(id, name === 'pause'))
  }
  runner
    .command('drain')
    .argument('<ID>')
    .option('--timeout <duration>', 'give up waiting after so long; it stays paused')
    .description('pause the runner and wait until its jobs have ended (administrators)')
    .action(async (id, options) => (await import('./commands/runner.js')).drainRunner(id, options))
  runner
    .command('delete')
    .argument('<ID>')
    .description('delete a runner; what it runs goes on')
    .action(async (id) => (await import('./commands/runner.js')).deleteRunner(id))
}

function addProjectCommands(program: Command): void {
  const project = program.command('project').description('projects')
  project
    .command('create')
    .argument('<PATH>', 'GROUP/NAME; missing groups are made')
    .option('--mirror <url>', 'the remote repository that it mirrors; credentials may stand in the URL')
    .option('--json', 'print one JSON document')
    .action(async (path, options) => (await import('./commands/project.js')).createProject(path, options))
  project
    .command('list')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await import('./commands/project.js')).listProjects(options))
  project
    .command('show')
    .argument('<PATH>')
    .option('--json', 'print one JSON document')
    .action(async (path, options) => (await import('./commands/project.js')).showProject(path, options))
  project
    .command('clear-caches')
    .description('clear what its jobs have cached')
    .argument('<PATH>', 'GROUP/NAME or ID')
    .option('--json', 'print one JSON document')
    .action(async (path, options) => (await import('./commands/project.js')).clearCaches(path, options))
  project
    .command('hook-secret')
    .description('make the secret that a forge signs its webhooks with, or another in its place')
    .argument('<PATH>', 'GROUP/NAME or ID')
    .option('--remove', 'take no webhooks any more')
    .option('--json', 'print one JSON document')
    .action(async (path, options) => (await import('./commands/project.js')).hookSecret(path, options))
  const connection = async () => import('./commands/connection.js')
  project
    .command('connect')
    .description('make a project of a repository on GitHub, GitLab, Gitea or Forgejo, whose commits show its results')
    .argument('<URL>', 'of the repository; with --check a project’s path will do')
    .option('--token-file <file>', 'holds an access token of the forge; - is standard input')
    .option('--path <path>', 'of the project: GROUP/NAME; default: as the repository is called')
    .option('--kind <kind>', 'github, gitlab, gitea or forgejo; default: found out')
    .option('--forks <policy>', 'whether pull requests of forks run: never, approve or always')
    .option('--job-statuses', 'show each job on the commit, besides the pipeline')
    .option('--no-job-statuses', 'show the pipeline alone')
    .option('--check', 'look whether all is there, and mend what is not')
    .option('--json', 'print one JSON document')
    .action(async (url, options) => (await connection()).connectProject(url, options))
  project
    .command('disconnect')
    .description('undo connect: the project stays, with its code and pipelines')
    .argument('<URL>', 'of the repository, or the project’s path')
    .option('--json', 'print one JSON document')
    .action(async (url, options) => (await connection()).disconnectProject(url, options))
  project
    .command('statuses')
    .description('what commits show on the forge, and what has not arrived there yet')
    .argument('<URL>', 'of the repository, or the project’s path')
    .option('--json', 'print one JSON document')
    .action(async (url, options) => (await connection()).listStatuses(url, options))
  project
    .command('requests')
    .description('pull requests of forks, and which of them wait for approval')
    .argument('<URL>', 'of the repository, or the project’s path')
    .option('--json', 'print one JSON document')
    .action(async (url, options) => (await connection()).listRequests(url, options))
  project
    .command('approve')
    .description('let the head of a fork’s pull request run')
    .argument('<URL>', 'of the repository, or the project’s path')
    .argument('<NUMBER>')
    .option('--sha <sha>', 'refuse if it is at another commit by now')
    .option('--json', 'print one JSON document')
    .action(async (url, number, options) => (await connection()).approveRequest(url, number, options))
  project
    .command('delete')
    .argument('<PATH>')
    .description('delete a project with its pipelines, logs, artifacts and repository')
    .action(async (path) => (await import('./commands/project.js')).deleteProject(path))
}

function addVariableCommands(program: Command): void {
  const variable = program.command('variable').description('variables of projects, groups and the instance')
  const load = () => import('./commands/variable.js')
  const about = (name: string, what: string) =>
    variable
      .command(name)
      .description(what)
      .option('--project <path>', 'default: SIGNALBOX_PROJECT, or the git remote')
      .option('--group <path>', 'of a group, for all that lies in it')
      .option('--instance', 'for all projects')
  about('set', 'set a variable; what no option names stays as it is')
    .argument('<KEY>')
    .argument('[VALUE]', 'default, and with -: what comes on stdin')
    .option('--masked', 'do not show it in logs')
    .option('--no-masked')
    .option('--hidden', 'masked, and never shown again; only for a new one')
    .option('--protected', 'for protected branches and tags only')
    .option('--no-protected')
    .option('--file', 'the job gets the path of a file with the value')
    .option('--no-file')
    .option('--raw', 'no $NAME in it refers to others')
    .option('--no-raw')
    .option('--scope <environment>', 'for this environment, may hold *')
    .option('--description <text>')
    .action(async (key, value, options) => (await load()).setVariable(key, value, options))
  about('list', 'list variables; the values of masked ones are left out')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await load()).listVariables(options))
  about('unset', 'delete a variable')
    .argument('<KEY>')
    .option('--scope <environment>', 'which one of several with this key')
    .action(async (key, options) => (await load()).unsetVariable(key, options))
}

function addPeopleCommands(program: Command): void {
  const user = program.command('user').description('people (administrators)')
  const loadUser = () => import('./commands/user.js')
  const aboutUser = (name: string, what: string) => user.command(name).argument('<USER>', 'user name').description(what)
  aboutUser('create', 'make a user')
    .requiredOption('--email <address>')
    .option('--name <name>', 'default: the user name')
    .option('--admin', 'as an administrator')
    .option('--json', 'print one JSON document')
    .action(async (name, options) => (await loadUser()).createUser(name, options))
  user
    .command('list')
    .description('list users')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await loadUser()).listUsers(options))
  aboutUser('block', 'refuse a user’s tokens; what it has begun goes on').action(async (name) =>
    (await loadUser()).blockUser(name),
  )
  aboutUser('unblock', 'let a blocked user in again').action(async (name) => (await loadUser()).unblockUser(name))
  aboutUser('password', 'print a link by which a user sets a password once')
    .option('--json', 'print one JSON document')
    .action(async (name, options) => (await loadUser()).linkPassword(name, options))
  aboutUser('admin', 'make a user an administrator')
    .option('--remove', 'take that away')
    .action(async (name, options) => (await loadUser()).setAdmin(name, options))

  const audit = program.command('audit').description('who has done what (administrators)')
  const loadAudit = () => import('./commands/audit.js')
  audit
    .command('list')
    .description('print the newest entries')
    .option('--kind <kind>', 'such as member.changed')
    .option('--limit <n>', 'default: 50')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await loadAudit()).listAudit(options))
  audit
    .command('verify')
    .description('check that no entry was changed, taken out or put in')
    .option('--head <id:digest>', 'what an earlier check has ended with')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await loadAudit()).verifyAudit(options))

  const member = program.command('member').description('members of a project or group')
  const load = () => import('./commands/member.js')
  const about = (command: Command, what: string) =>
    command
      .description(what)
      .option('--project <path>', 'default: SIGNALBOX_PROJECT, or the git remote')
      .option('--group <path>', 'of this group, and so of all projects in it')
  about(member.command('add').argument('<USER>', 'user name'), 'let a user in, or change a member’s level')
    .requiredOption('--level <name>', 'guest, planner, reporter, developer, maintainer, owner')
    .option('--expires <when>', 'a date, or a duration such as "30 days"; default: never')
    .option('--json', 'print one JSON document')
    .action(async (name, options) => (await load()).addMember(name, options))
  about(member.command('list'), 'list members')
    .option('--direct', 'only those of the place itself')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await load()).listMembers(options))
  about(member.command('remove').argument('<USER>', 'user name'), 'let a member go').action(async (name, options) =>
    (await load()).removeMember(name, options),
  )
}

function addTokenCommands(program: Command): void {
  const token = program.command('token').description('access tokens')
  const load = () => import('./commands/token.js')
  token
    .command('create')
    .argument('<NAME>', 'what it is for')
    .description('create an access token and print it once')
    .option('--scopes <a,b>', 'what it may be used for', 'api')
    .option('--expires <when>', 'a date, or a duration such as "30 days"; default: never')
    .option('--user <name>', 'for this user (administrators); default: for yourself')
    .option('--project <path>', 'for this project only, as a user of its own')
    .option('--level <name>', 'what it may do in the project; default maintainer')
    .option('--description <text>')
    .option('--json', 'print one JSON document')
    .action(async (name, options) => (await load()).createToken(name, options))
  token
    .command('list')
    .description('list access tokens; an administrator sees everybody’s')
    .option('--user <name>')
    .option('--project <path>', 'those of the project')
    .option('--all', 'revoked and expired ones too')
    .option('--json', 'print one JSON document')
    .action(async (options) => (await load()).listTokens(options))
  token
    .command('revoke')
    .argument('<ID>')
    .description('end an access token')
    .option('--project <path>', 'one of the project')
    .action(async (id, options) => (await load()).revokeToken(id, options))
}

function addPipelineCommands(program: Command): void {
  const pipeline = program.command('pipeline').description('pipelines')
  const about = (name: string, what: string) =>
    pipeline
      .command(name)
      .description(what)
      .option('--project <path>', 'default: SIGNALBOX_PROJECT, or the git remote')
      .option('--json', 'print one JSON document')
  const load = () => import('./commands/pipeline.js')
  about('run', 'create a pipeline')
    .requiredOption('--ref <ref>', 'a branch or tag')
    .option('--var <K=V>', 'a variable, may be repeated', several)
    .option('--watch', 'follow it to its end')
    .action(async (options) => (await load()).runPipeline(options))
  about('list', 'list pipelines, newest first')
    .option('--ref <ref>')
    .option('--status <status>')
    .option('--limit <n>', 'at most so many', '20')
    .action(async (options) => (await load()).listPipelines(options))
  about('show', 'show a pipeline and its jobs')
    .argument('<ID>')
    .action(async (id, options) => (await load()).showPipeline(id, options))
  about('watch', 'follow a pipeline to its end')
    .argument('[ID]', 'default: the newest of the commit that is checked out, or of all outside a clone')
    .option('--timeout <duration>', 'give up after so long')
    .action(async (id, options) => (await load()).watchPipeline(id, options))
  about('cancel', 'cancel what is left of a pipeline')
    .argument('<ID>')
    .action(async (id, options) => (await load()).changePipeline('cancel', id, options))
  about('retry', 'try again what failed or was canceled')
    .argument('<ID>')
    .action(async (id, options) => (await load()).changePipeline('retry', id, options))
}

function addJobCommands(program: Command): void {
  const job = program.command('job').description('jobs')
  const load = () => import('./commands/job.js')
  const about = (name: string, what: string) =>
    job.command(name).description(what).argument('<ID>').option('--project <path>')
  about('show', 'show a job')
    .option('--json', 'print one JSON document')
    .action(async (id, options) => (await load()).showJob(id, options))
  about('log', 'print a job’s log')
    .option('-f, --follow', 'go on until the job ends')
    .action(async (id, options) => (await load()).printLog(id, options))
  for (const [name, what] of [
    ['cancel', 'cancel a job'],
    ['retry', 'try a job again'],
    ['play', 'start a manual job'],
  ] as const) {
    const command = about(name, what).option('--json', 'print one JSON document')
    if (name === 'play') {
      command
        .option('--var <K=V>', 'a variable of the job, may be repeated', several)
        .option('--input <K=V>', 'another value for an input of the job, may be repeated', several)
        .option('--yes', 'do not ask for what the job wants confirmed')
    }
    if (name === 'cancel') command.option('--force', 'do not wait for its runner')
    command.action(async (id, options) => (await load()).changeJob(name, id, options))
  }
  about('priority', 'let a job that waits go before others, or after them (administrators)')
    .argument('<PRIORITY>', 'from -1000 to 1000; jobs begin with 0')
    .option('--json', 'print one JSON document')
    .action(async (id, priority, options) => (await load()).prioritize(id, priority, options))
  about('why', 'say what a job waits for, and which runners could take it')
    .option('--json', 'print one JSON document')
    .action(async (id, options) => (await import('./commands/inspect.js')).why(id, options))
  about('token', 'print a job’s token (administrators)').action(async (id) => (await load()).printToken(id))
}

/** Runs the program. Returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  const program = buildProgram()
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exitCodes.done
  } catch (thrown) {
    const error = addonFailure(thrown) ?? thrown
    if (error instanceof Exit) {
      if (error.message) process.stderr.write(`signalbox: ${printable(error.message)}\n`)
      if (error.hint) process.stderr.write(`  ${printable(error.hint)}\n`)
      return error.code
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    process.stderr.write(`signalbox: internal fault: ${(error as Error).stack ?? String(error)}\n`)
    return exitCodes.internalFault
  }
}

watchProcess()
// A program whose last promise is forgotten ends by itself, and must not look as if it had done its work.
process.exitCode = exitCodes.internalFault
main(process.argv.slice(2))
  .then((code) => {
    process.exitCode = code
  })
  .catch(asFault)
