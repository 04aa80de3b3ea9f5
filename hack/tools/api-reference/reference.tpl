{{- /* The layout of docs/api.md, for crd-ref-docs. */ -}}

{{- define "text" -}}
{{ . | replace "\n" " " | replace "<" "&lt;" | replace "*" "\\*" | markdownRenderFieldDoc }}
{{- end -}}

{{- define "bounds" -}}
{{- $bounds := list -}}
{{- range .Validation -}}
{{- if hasPrefix "Required" . }}{{ $bounds = prepend $bounds "required" }}
{{- else if not (or (hasPrefix "Optional" .) (contains "XValidation" .)) }}{{ $bounds = append $bounds (. | replace "{" "\\{" | replace "}" "\\}" | replace "|" "\\|") }}{{ end -}}
{{- end -}}
{{- if and .Default (ne .Default "{  }") }}{{ $bounds = prepend $bounds (printf "default %s" (.Default | markdownRenderDefault)) }}{{ end -}}
{{- range list "kubebuilder:validation:XValidation" "kubebuilder:validation:items:XValidation" -}}
{{- range index $.Markers . }}
{{- /* A rule with a path belongs to the type, and is told there. */ -}}
{{- if not .FieldPath }}{{ $bounds = append $bounds (.Message | replace "<" "&lt;" | replace "*" "\\*") }}{{ end -}}
{{- end -}}
{{- end -}}
{{ join "<br>" $bounds }}
{{- end -}}

{{- define "type" -}}
{{- if markdownShouldRenderType . }}

### {{ .Name }}

{{ .Doc | replace "<" "&lt;" }}
{{ with index .Markers "kubebuilder:validation:XValidation" }}
{{ range . }}
- {{ with .FieldPath }}`{{ . | trimPrefix "." }}`: {{ end }}{{ .Message | replace "<" "&lt;" }}
{{- end }}
{{ end -}}
{{- if .References }}
Used by {{ range $i, $user := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $user }}{{ end }}.
{{ end -}}
{{- if .EnumValues }}
| Value | Meaning |
|---|---|
{{- range .EnumValues }}
| `{{ .Name }}` | {{ template "text" .Doc }} |
{{- end }}
{{ else if .Members }}
| Field | Description | Default and bounds |
|---|---|---|
{{- if .GVK }}
| `apiVersion` | {{ .GVK.Group }}/{{ .GVK.Version }} | |
| `kind` | {{ .GVK.Kind }} | |
{{- end }}
{{- range .Members }}
| `{{ .Name }}` _{{ markdownRenderType .Type }}_ | {{ if eq .Name "metadata" }}Name, namespace, labels and so on, as of every resource.{{ else }}{{ template "text" .Doc }}{{ end }} | {{ template "bounds" . }} |
{{- end }}
{{ end -}}
{{- end -}}
{{- end -}}

{{- define "gvList" -}}
<!-- Generated from api/v1alpha1 by `make generate`. -->
{{ range . }}
# API reference: {{ .GroupVersionString }}

The same words are in `kubectl explain`, for example `kubectl explain topic.spec --api-version={{ .GroupVersionString }}`.

Kinds: {{ range $i, $kind := .SortedKinds }}{{ if $i }}, {{ end }}[{{ $kind }}](#{{ lower $kind }}){{ end }}
{{ range .SortedTypes }}{{ template "type" . }}{{ end }}
{{- end }}
{{- end -}}
