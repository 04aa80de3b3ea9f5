# One image for the operator (/manager) and its workers (/relay).
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY api api
COPY cmd cmd
COPY internal internal
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -buildvcs=false -trimpath -ldflags='-s -w' -o /out/ ./cmd/manager ./cmd/relay

FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/manager /out/relay /
USER 65532:65532
ENTRYPOINT ["/manager"]
