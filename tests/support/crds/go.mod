// The modules that the tests read the CRDs of other projects from. A module of its own: go.sum locks
// every byte, and a new CRD version does not rebuild the control plane.
module profiles-controller/tests/support/crds

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.1
)
