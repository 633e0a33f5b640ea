{{/* Names and labels. */}}
{{- define "pc.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "pc.fullname" -}}
{{- $name := include "pc.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "pc.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Selector labels of a Deployment: (dict "root" $ "component" NAME). */}}
{{- define "pc.selector" -}}
app.kubernetes.io/name: {{ include "pc.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "pc.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: profiles-controller
{{ include "pc.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .more }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object: (dict "root" $ "component" NAME "name" NAME ["namespace" NAME, or "-" for none] ["more" LABELS] ["annotations" MAP]). */}}
{{- define "pc.metadata" -}}
name: {{ .name }}
{{- if ne (default "" .namespace) "-" }}
namespace: {{ default (include "pc.namespace" .root) .namespace }}
{{- end }}
labels:
  {{- include "pc.labels" . | nindent 2 }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* REGISTRY/REPOSITORY:TAG of (dict "root" $ "image" MAP). */}}
{{- define "pc.image" -}}
{{- $name := .image.repository }}
{{- if .image.registry }}{{ $name = printf "%s/%s" .image.registry $name }}{{ end }}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}
{{- else }}{{ printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) }}{{ end }}
{{- end }}

{{/* "yes" if an optional kind is rendered: (dict "root" $ "mode" MODE "kind" KIND "of" KEY). */}}
{{- define "pc.renders" -}}
{{- $served := .root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}
{{- if and (eq .mode "failIfMissing") (not $served) }}
{{- fail (printf "%s.renderMode is failIfMissing, and the cluster does not serve %s: install the Prometheus Operator, or set skipIfMissing" .of .kind) }}
{{- end }}
{{- if or $served (eq .mode "alwaysRender") }}yes{{ end }}
{{- end }}
