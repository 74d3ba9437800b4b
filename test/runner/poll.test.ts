import { runnerContract } from './contract/runner-contract.js'

runnerContract('poll')
