/**
 * Every number that bounds the language, in one place. Rows marked GitLab are its documented defaults
 * (doc/administration/instance_limits.md, doc/ci/yaml/_index.md); the others keep one hostile file from costing more
 * than one file should.
 */
export const limits = {
  /** Raw text of one file. GitLab: `max_yaml_size_bytes`. */
  fileBytes: 2 * 1024 * 1024,
  /** Maps and lists inside each other. GitLab: `max_yaml_depth`. */
  depth: 100,
  /** Nodes of a document, counted after aliases, merges, includes, `extends` and `!reference`. */
  nodes: 500_000,
  /** Characters of all texts and keys of a document, counted the same way. */
  characters: 16 * 1024 * 1024,
  /** Map entries visited by deep merges of one compilation. */
  mergeSteps: 2_000_000,
  /** GitLab: `ci_max_includes`, nested ones and repetitions counted. */
  includes: 150,
  /** GitLab: `ci_max_total_yaml_size_bytes` for 150 files. */
  includedBytes: 300 * 1024 * 1024,
  triggerIncludes: 3,
  /** Bases of bases of a job. */
  extendsDepth: 11,
  /** Lists in lists, where they are flattened. */
  nestedLists: 10,
  interpolation: {
    functions: 3,
    segments: 5,
    bytes: 1024,
    blocks: 10_000,
    nodeBytes: 1024 * 1024,
    indexes: 5,
  },
  inputOptions: 50,
  jobInputs: 50,
  givenInputs: 20,
  expressionTokens: 99,
  patterns: 50,
  globComparisons: 50_000,
  /** Rules of one job or workflow after flattening. */
  rules: 1_000,
  /** Rules of all jobs, once for each instance: what one event may have to decide. */
  rulesPerFile: 200_000,
  regexBytes: 1024,
  /** Instructions of a compiled regular expression. */
  regexProgram: 10_000,
  regexSubjectBytes: 64 * 1024,
  needs: 50,
  crossPipelineNeeds: 5,
  parallel: 200,
  nameCharacters: 255,
  caches: 4,
  fallbackKeys: 5,
  keyFiles: 2,
  /** A job has fewer tags than this. */
  tags: 50,
  retries: 2,
  jobsPerPipeline: 2_000,
  /** Jobs that one file may define, instances of `parallel` counted; rules may leave fewer. */
  jobsPerFile: 10_000,
  /** Errors told about one file. */
  errors: 100,
} as const
