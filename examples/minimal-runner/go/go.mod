module minimal-runner

go 1.21
