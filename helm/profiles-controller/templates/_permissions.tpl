{{/*
The rules of a process, as JSON {"items": [...]}: (dict "root" $ "process" PROCESS). The program
computes them and their conditions (files/controllers.yaml). This template evaluates the conditions.
*/}}
{{- define "pc.rules" -}}
{{- $process := .process }}
{{- $declared := .root.Files.Get "files/controllers.yaml" | fromYaml }}
{{- $rules := $declared.common }}
{{- range $controller := .process.controllers }}
  {{- $rules = concat $rules $controller.rules }}
  {{- $settings := get $process.settings $controller.name | default dict }}
  {{- range $controller.conditional }}
    {{- $value := (include "pc.setting" (dict "one" . "settings" $settings) | fromJson).value }}
    {{- if eq .kind "table" }}
      {{- $rules = concat $rules (include "pc.table" (dict "default" .default "given" $value) | fromJson).items }}
    {{- else if eq .kind "objects" }}
      {{- $rules = concat $rules (include "pc.objects" (dict "one" . "of" $controller.name "value" $value "settings" $settings) | fromJson).items }}
    {{- else if or (and .values (has (toString $value) .values)) (and (not .values) $value) }}
      {{- $rules = concat $rules .rules }}
    {{- end }}
  {{- end }}
{{- end }}
{{- range $shared := $declared.sharedLists }}
  {{- $names := list }}
  {{- range $process.controllers }}
    {{- if hasKey $shared.names .name }}{{ $names = append $names (get $shared.names .name) }}{{ end }}
  {{- end }}
  {{- if and (gt (len (uniq $names)) 1) (not (has "" $names)) }}
    {{- $rules = append $rules $shared.rule }}
  {{- end }}
{{- end }}
{{- dict "items" (concat $rules .root.Values.rbac.extraRules | uniq) | toJson }}
{{- end }}

{{/* The rule for the objects that a setting names, if it names any. */}}
{{- define "pc.objects" -}}
{{- $one := .one }}
{{- $settings := .settings }}
{{- $needed := not $one.whileSet }}
{{- range $one.whileSet }}
  {{- if (include "pc.setting" (dict "one" . "settings" $settings) | fromJson).value }}{{ $needed = true }}{{ end }}
{{- end }}
{{- $names := list }}
{{- if not $one.key }}
  {{- $names = append $names .value }}
{{- else if not (kindIs "slice" .value) }}
  {{- fail (printf "controllers.%s.settings.%s must be a list, because the ClusterRole depends on it" .of $one.setting) }}
{{- else }}
  {{- range .value }}
    {{- range $key, $value := . }}
      {{- if eq (lower $key | replace "_" "") (replace "_" "" $one.key) }}
        {{- $names = append $names (ternary ($value | default dict) (dict "name" (splitList "/" (toString $value) | first)) (kindIs "map" $value)).name }}
      {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $items := list }}
{{- if and $needed $names }}
  {{- $items = append $items (merge (dict "resourceNames" ($names | uniq | sortAlpha)) $one.rule) }}
{{- end }}
{{- dict "items" $items | toJson }}
{{- end }}

{{/* The value of a setting under any of its accepted keys, or its default. */}}
{{- define "pc.setting" -}}
{{- $value := .one.default }}
{{- $settings := .settings }}
{{- range .one.keys }}
  {{- if not (kindIs "invalid" (get $settings . | default nil)) }}{{ $value = get $settings . }}{{ end }}
  {{- if and (hasKey $settings .) (kindIs "bool" (get $settings .)) }}{{ $value = get $settings . }}{{ end }}
{{- end }}
{{- dict "value" $value | toJson }}
{{- end }}

{{/* The rules of a table API group -> resource -> verbs, merged into its default as in the program. */}}
{{- define "pc.table" -}}
{{- $default := .default }}
{{- $given := .given }}
{{- $items := list }}
{{- range $group := concat (keys $default) (keys $given) | uniq | sortAlpha }}
  {{- if not (and (hasKey $given $group) (kindIs "invalid" (get $given $group))) }}
    {{- $before := get $default $group | default dict }}
    {{- $over := get $given $group | default dict }}
    {{- range $resource := concat (keys $before) (keys $over) | uniq | sortAlpha }}
      {{- $verbs := get $before $resource }}
      {{- if hasKey $over $resource }}{{ $verbs = get $over $resource }}{{ end }}
      {{- if kindIs "string" $verbs }}{{ $verbs = splitList "," (nospace $verbs) }}{{ end }}
      {{- if $verbs }}
        {{- $items = append $items (dict "apiGroups" (list $group) "resources" (list $resource) "verbs" $verbs) }}
      {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- dict "items" $items | toJson }}
{{- end }}
