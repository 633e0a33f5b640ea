// selectors reads PromQL expressions, a JSON list on standard input, with Prometheus' own parser.
// For each it prints, as JSON, what it selects, or why it is no PromQL.
package main

import (
	"encoding/json"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type selector struct {
	Metric string   `json:"metric"`
	Labels []string `json:"labels"`
}

type expression struct {
	Error     string     `json:"error"`
	Selectors []selector `json:"selectors"`
	// Labels that aggregations and matchings go by.
	Groupings []string `json:"groupings"`
}

func read(text string) expression {
	found := expression{Selectors: []selector{}, Groupings: []string{}}
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		found.Error = err.Error()
		return found
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch one := node.(type) {
		case *parser.VectorSelector:
			labels := []string{}
			for _, matcher := range one.LabelMatchers {
				if matcher.Name != "__name__" {
					labels = append(labels, matcher.Name)
				}
			}
			found.Selectors = append(found.Selectors, selector{one.Name, labels})
		case *parser.AggregateExpr:
			found.Groupings = append(found.Groupings, one.Grouping...)
		case *parser.BinaryExpr:
			if one.VectorMatching != nil {
				found.Groupings = append(found.Groupings, one.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return found
}

func main() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		panic(err)
	}
	found := make([]expression, 0, len(texts))
	for _, text := range texts {
		found = append(found, read(text))
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		panic(err)
	}
}
