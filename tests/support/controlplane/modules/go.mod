// Where the tests take the CRDs of other projects from. A module of its own, so that go.sum locks
// every byte, and so that another version of one builds no control plane anew.
module profiles-controller/tests/controlplane/modules

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.1
)
