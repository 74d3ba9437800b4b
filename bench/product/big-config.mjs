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
