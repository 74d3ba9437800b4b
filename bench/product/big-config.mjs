/** A configuration of `count` jobs that extend templates and have rules. */
export function bigConfig(count) {
  const lines = ['stages: [build, test, deploy]', 'variables: {LEVEL: "3"}', '.base:', '  before_script: [echo begin]']
  lines.push('  retry: 1', '.rules:', '  rules:', '    - if: $CI_COMMIT_BRANCH == "main" && $LEVEL =~ /^[0-9]+$/')
  lines.push('    - if: $CI_PIPELINE_SOURCE == "schedule"', '      when: manual')
  for (let i = 0; i < count; i++) {
    lines.push(`job-${i}:`, '  extends: [.base, .rules]', `  stage: ${['build', 'test', 'deploy'][i % 3]}`)
    lines.push(`  variables: {NUMBER: "${i}"}`, '  script:', `    - echo "job ${i}"`, '    - make $NUMBER')
  }
  return `${lines.join('\n')}\n`
}

/** The same in five files: the main one includes templates and the jobs of four others. */
export function bigConfigInFiles(count) {
  const [head, ...jobs] = bigConfig(count).split(/^(?=job-)/m)
  const files = { 'ci/base.yml': head.slice(head.indexOf('.base:')) }
  const each = Math.ceil(jobs.length / 4)
  for (let i = 0; i < 4; i++) files[`ci/jobs-${i}.yml`] = jobs.slice(i * each, (i + 1) * each).join('')
  return { source: `include: [ci/*.yml]\n${head.slice(0, head.indexOf('.base:'))}`, files }
}

/** A configuration of `jobs` jobs, each with so many rules of which none but the last holds. */
export function manyRules(jobs, rules) {
  const lines = ['variables: {LEVEL: "3"}']
  for (let job = 0; job < jobs; job++) {
    lines.push(`job-${job}:`, '  script: make', '  rules:')
    for (let rule = 1; rule < rules; rule++) {
      lines.push(
        `    - if: ($CI_COMMIT_TAG =~ /^v${rule}\\./ || $LEVEL == "${rule}-${job}") && $CI_COMMIT_BRANCH != "x"`,
      )
    }
    lines.push('    - if: $CI_COMMIT_BRANCH')
  }
  return `${lines.join('\n')}\n`
}
