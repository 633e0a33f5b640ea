{{/*
The processes to deploy, as JSON {"items": [...]}. Each has its name (the component), its controllers,
its arguments, its values merged into the defaults, and its settings by controller.
*/}}
{{- define "pc.processes" -}}
{{- $root := . }}
{{- $items := list }}
{{- $together := list }}
{{- $settings := dict }}
{{- $values := .Values.defaults }}
{{- range (.Files.Get "files/controllers.yaml" | fromYaml).controllers }}
  {{- $own := get $root.Values.controllers .name | default dict }}
  {{- if not (hasKey $root.Values.controllers .name) }}
    {{- fail (printf "values.yaml has no key controllers.%s for a controller of the program: add it" .name) }}
  {{- end }}
  {{- if $own.enabled }}
    {{- if .variants }}
      {{- $controller := . }}
      {{- range $variant := .variants }}
        {{- $instance := get (default dict $own.instances) $variant.name | default dict }}
        {{- if $instance.enabled }}
          {{- $merged := include "pc.merged" (list (omit $own "instances") $instance) | fromJson }}
          {{- $chosen := merge (dict $controller.variantSetting $variant.name) (default dict $merged.settings) }}
          {{- $name := printf "%s-%s" $controller.name $variant.name }}
          {{- $over := include "pc.merged" (list $root.Values.defaults $merged) | fromJson }}
          {{- $own := merge (dict "rules" $variant.rules) $controller }}
          {{- $items = append $items (dict "name" $name "controllers" (list $own) "args" (list $controller.name) "values" $over "settings" (dict $controller.name $chosen)) }}
        {{- end }}
      {{- end }}
    {{- else if and (eq $root.Values.mode "all") (not .standalone) }}
      {{- $together = append $together . }}
      {{- $_ := set $settings .name (default dict $own.settings) }}
      {{- $shared := pick $own "env" "envFrom" "extraArgs" "extraVolumes" "extraVolumeMounts" "extraEgress" "podLabels" }}
      {{- $values = include "pc.merged" (list $values $shared) | fromJson }}
    {{- else }}
      {{- $over := include "pc.merged" (list $root.Values.defaults $own) | fromJson }}
      {{- $items = append $items (dict "name" .name "controllers" (list .) "args" (list .name) "values" $over "settings" (dict .name (default dict $own.settings))) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if $together }}
  {{- $names := list }}
  {{- range $together }}{{ $names = append $names .name }}{{ end }}
  {{- $over := include "pc.merged" (list $values .Values.all) | fromJson }}
  {{- $items = prepend $items (dict "name" "all" "controllers" $together "args" (list "all" (printf "--only=%s" (join "," $names))) "values" $over "settings" $settings) }}
{{- end }}
{{- dict "items" $items | toJson }}
{{- end }}

{{/*
The values of a Deployment, merged into its defaults, as JSON: (list DEFAULTS OWN). Maps are merged, lists
of additions are joined, everything else is replaced.
*/}}
{{- define "pc.merged" -}}
{{- $joined := list "env" "envFrom" "extraArgs" "extraVolumes" "extraVolumeMounts" "extraEgress" }}
{{- $merged := deepCopy (index . 0) }}
{{- range $key, $value := index . 1 }}
  {{- $before := get $merged $key }}
  {{- if kindIs "invalid" $value }}
  {{- else if and (has $key $joined) (kindIs "slice" $before) }}
    {{- $_ := set $merged $key (concat $before $value | uniq) }}
  {{- else if and (kindIs "map" $value) (kindIs "map" $before) }}
    {{- $_ := set $merged $key (mergeOverwrite $before $value) }}
  {{- else }}
    {{- $_ := set $merged $key $value }}
  {{- end }}
{{- end }}
{{- $merged | toJson }}
{{- end }}

{{/* The --config file of a process: (dict "root" $ "process" PROCESS). */}}
{{- define "pc.config" -}}
{{- $values := .process.values }}
{{- $election := .root.Values.leaderElection }}
{{- $common := dict "log_level" $values.logLevel "resync" $values.resyncMinutes "leader_elect" $election.enabled }}
{{- if $election.enabled }}
  {{- $_ := set $common "leader_elect_namespace" (include "pc.namespace" .root) }}
  {{- $_ := set $common "lease_duration" $election.leaseDuration }}
  {{- $_ := set $common "renew_deadline" $election.renewDeadline }}
  {{- $_ := set $common "retry_period" $election.retryPeriod }}
{{- end }}
{{- merge (dict "common" $common) .process.settings | toYaml }}
{{- end }}

{{- define "pc.serviceAccount" -}}
{{- $given := .process.values.serviceAccountName }}
{{- default (printf "%s-%s" (include "pc.fullname" .root) .process.name) $given }}
{{- end }}
