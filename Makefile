# Go tools are pinned in hack/tools and run from there; nothing is installed.
TOOL := go tool -modfile=hack/tools/go.mod
LINT := go tool -modfile=hack/tools/lint/go.mod golangci-lint

# The packages whose tests speak to Kafka.
KAFKA_PACKAGES := ./internal/kafka/... ./internal/relay/... ./internal/controller/... ./test/env/...

# Tests with libraries that the product does not require, each in a module of its own.
TEST_MODULES := test/argocd test/prometheus

# Where `generate` writes. `verify` points it at a temporary folder and compares.
OUT := .

.DEFAULT_GOAL := help
.PHONY: help demo test test-kafka bench-topics bench-scale model verify lint generate build

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Run the whole product on this machine, as a story that checks itself.
	@go run -buildvcs=false ./hack/demo

test: ## Unit and integration tests: Kubernetes' API server and PostgreSQL are real, Kafka is kfake.
	go test -timeout 15m ./...
	@for module in $(TEST_MODULES); do (cd $$module && go test -timeout 15m ./...) || exit 1; done

test-kafka: ## The Kafka-facing tests again, on a real Apache Kafka.
	WEIR_TEST_KAFKA=apache go test -timeout 20m $(KAFKA_PACKAGES)

N := 1000

bench-topics: ## Measure how fast topics follow, beside a bare loop: make bench-topics [N=1000] [KAFKA=apache].
	@WEIR_TEST_KAFKA=$(KAFKA) go run -buildvcs=false ./test/bench/topics -n $(N)

SEED := 1
STEPS := 60

model: ## Do at random what people do, kill the manager, and compare Kafka with an oracle: make model [SEED=1] [STEPS=60].
	@mkdir -p bin && go test -buildvcs=false -c -o bin/model.test ./test/model
	@cd test/model && ../../bin/model.test -test.run '^TestModel$$' -test.timeout 30m -model.seed=$(SEED) -model.steps=$(STEPS)

MANY := 10000

bench-scale: ## Measure what it takes to have many topics and groups: make bench-scale [MANY=10000].
	@WEIR_TEST_KAFKA=$(KAFKA) go run -buildvcs=false ./test/bench/topics -scale -n $(MANY)

verify: ## Fail if generated files, formatting, imports or lint are not in order.
	@hack/verify-generated
	@files=$$(gofmt -l api cmd hack internal test); \
	if [ -n "$$files" ]; then printf 'not formatted (run gofmt -w):\n%s\n' "$$files" >&2; exit 1; fi
	go vet ./...
	go mod tidy -diff
	@for module in $(TEST_MODULES); do (cd $$module && go vet ./... && go mod tidy -diff && go tool -modfile=$(CURDIR)/hack/tools/lint/go.mod golangci-lint run --allow-parallel-runners) || exit 1; done
	$(LINT) run --allow-parallel-runners

lint: ## Run the linters; the import rules of the architecture are among them.
	$(LINT) run --allow-parallel-runners

generate: ## Write deep copies, CRDs, RBAC and docs/api.md from the sources.
	@mkdir -p $(OUT)/api/v1alpha1 $(OUT)/config/crd $(OUT)/config/rbac $(OUT)/docs
	$(TOOL) controller-gen \
		object paths=./api/... output:object:dir=$(OUT)/api/v1alpha1 \
		crd:generateEmbeddedObjectMeta=false output:crd:dir=$(OUT)/config/crd
	$(TOOL) controller-gen rbac:roleName=weir-manager paths=./internal/controller/... output:rbac:dir=$(OUT)/config/rbac
	$(TOOL) crd-ref-docs --log-level=ERROR --config=hack/tools/api-reference/config.yaml \
		--templates-dir=hack/tools/api-reference --source-path=./api --renderer=markdown --output-path=$(OUT)/docs/api.md

build: ## Build bin/manager and bin/relay.
	go build -buildvcs=false -o bin/ ./cmd/manager ./cmd/relay
